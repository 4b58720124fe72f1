//! Heavy loss: over TCP, where a lost packet is late, and over datagrams, where it is gone.

use rafture_reports::tune::Study;
use rafture_sim::elections::Setup;

use super::{Lab, MS, Outage, chart, first_last, line, outage_charts, usual};

const LOSSES: [f64; 7] = [0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0];
/// Shortest timeouts, in heartbeats of 30 ms.
const BEATS: [u64; 4] = [3, 5, 10, 20];

pub(super) fn study(lab: &mut Lab) -> Study {
    let mut outages = |repeats: bool| -> Vec<Outage> {
        LOSSES.map(|loss| lab.outage(&lossy(loss, repeats, 5, true))).into()
    };
    let (tcp, datagrams) = (outages(true), outages(false));
    let mut rates = |repeats: bool, beats: u64, pre_vote: bool| -> Vec<[f64; 3]> {
        LOSSES.map(|loss| lab.false_elections(&lossy(loss, repeats, beats, pre_vote))).into()
    };
    let names = BEATS.map(|beats| format!("{beats} heartbeats in the shortest timeout"));
    let with: Vec<_> = BEATS.map(|beats| rates(true, beats, true)).into();
    let without: Vec<_> = BEATS.map(|beats| rates(true, beats, false)).into();
    let gone: Vec<_> = BEATS.map(|beats| rates(false, beats, false)).into();
    let at_ten = |lines: &[Vec<[f64; 3]>], beats: usize| lines[beats][4][0];
    let (calm, bad) = first_last(&tcp, |outage| outage.p99[0]);
    let (_, bad_datagrams) = first_last(&datagrams, |outage| outage.p99[0]);
    let lost = |found: &[Outage]| found.last().map_or(0, |outage| outage.lost);
    let findings = vec![
        format!(
            "With 30 % of packets lost, 99 of 100 outages are over after {bad:.0} ms over TCP and {bad_datagrams:.0} ms over datagrams, {calm:.0} ms without loss: a lost vote is late by 200 ms or more over TCP, where nothing follows it, and over datagrams it takes another election. Of {} failures each, {} and {} did not come to an end within eleven seconds, or had no leader that could fail.",
            lab.trials,
            lost(&tcp),
            lost(&datagrams)
        ),
        format!(
            "At 10 % loss over TCP and without PreVote, a leader that is well is deposed {:.0} times an hour where three heartbeats fit into the shortest timeout, {:.0} where five do, {:.1} where ten and {:.1} where twenty do; with PreVote {:.1}, {:.1}, {:.1} and {:.1}: a majority has to miss it at the same time.",
            at_ten(&without, 0),
            at_ten(&without, 1),
            at_ten(&without, 2),
            at_ten(&without, 3),
            at_ten(&with, 0),
            at_ten(&with, 1),
            at_ten(&with, 2),
            at_ten(&with, 3)
        ),
        format!(
            "Over datagrams and without PreVote it is {:.0}, {:.0}, {:.1} and {:.1}: there, nothing has to wait behind what is lost.",
            at_ten(&gone, 0),
            at_ten(&gone, 1),
            at_ten(&gone, 2),
            at_ten(&gone, 3)
        ),
    ];
    let mut charts = outage_charts("packets lost, %", &LOSSES, vec![("TCP", tcp), ("datagrams", datagrams)]);
    let titles = [
        ("False elections over TCP, with PreVote", with),
        ("False elections over TCP, without PreVote", without),
        ("False elections over datagrams, without PreVote", gone),
    ];
    for (title, rates) in titles {
        let lines = names.iter().zip(rates).map(|(name, rates)| line(name, &LOSSES, rates));
        charts.push(chart(title, ("packets lost, %", "elections per hour"), true, lines.collect()));
    }
    Study {
        name: "heavy-loss".into(),
        question: "What does heavy loss of packets do to elections?".into(),
        setup: "Five members, a heartbeat every 30 ms, links of 5 ms each way that lose packets by chance. Over TCP what is lost is sent again, after 200 ms and two round trips, or when something behind it was received; over datagrams it is gone. Outages with timeouts from 150 to 300 ms; false elections in 100,000 heartbeats with timeouts from T to 2 T.".into(),
        findings,
        charts,
    }
}

fn lossy(percent: f64, repeats: bool, beats: u64, pre_vote: bool) -> Setup {
    let mut setup = usual();
    (setup.repeats, setup.pre_vote) = (repeats, pre_vote);
    let low = beats * 30 * MS;
    setup.timeouts_ns.fill((low, 2 * low));
    setup.links.iter_mut().flatten().for_each(|link| link.loss = percent / 100.0);
    setup
}
