//! Cutting links: one nftables table of the bridge family in the switch, with a set of address pairs that are dropped.
//!
//! ```text
//! table bridge rafture {
//!     set cut { type ipv4_addr . ipv4_addr }
//!     chain links { type filter hook forward priority -200; policy accept;
//!         meta protocol ip  ip saddr . ip daddr @cut  counter drop }
//! }
//! ```
//!
//! All traffic between hosts crosses the bridge, so a whole partition is one change of that set, and the kernel
//! applies a batch of changes at once or not at all. There is no state: established connections are cut as well.

use std::collections::BTreeSet;
use std::io;

use super::Link;
use super::link::address;
use super::netlink::{ACK, APPEND, CREATE, Message, Socket};

const TABLE: &str = "rafture";
const CHAIN: &str = "links";
const SET: &str = "cut";
const SET_ID: u32 = 1;

const FAMILY_BRIDGE: u8 = 7;
const SUBSYSTEM: u16 = 10;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const NEW_CHAIN: u16 = NEW_TABLE | 3;
const NEW_RULE: u16 = NEW_TABLE | 6;
const NEW_SET: u16 = NEW_TABLE | 9;
const NEW_ELEMENTS: u16 = NEW_TABLE | 12;
const DELETE_ELEMENTS: u16 = NEW_TABLE | 14;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const LIST_ELEMENT: u16 = 1;

/// Makes the table, with nothing cut.
pub(super) fn install(socket: &mut Socket) -> io::Result<()> {
    /// The number that nft has for a pair of `ipv4_addr`; the kernel only stores it.
    const PAIR_TYPE: u32 = 7 << 6 | 7;
    const PAIR_BYTES: u32 = 8;
    const HOOK_FORWARD: u32 = 2;
    const PRIORITY: i32 = -200;
    let table = message(NEW_TABLE, CREATE).text(1, TABLE);
    let set = message(NEW_SET, CREATE)
        .text(1, TABLE)
        .text(2, SET)
        .number(3, 0)
        .number(4, PAIR_TYPE)
        .number(5, PAIR_BYTES)
        .number(10, SET_ID);
    let chain = message(NEW_CHAIN, CREATE)
        .text(1, TABLE)
        .text(3, CHAIN)
        .nested(4, |hook| hook.number(1, HOOK_FORWARD).number(2, PRIORITY.cast_unsigned()))
        .text(7, "filter");
    let rule =
        message(NEW_RULE, CREATE | APPEND).text(1, TABLE).text(2, CHAIN).nested(4, drop_pairs_in_the_set);
    batch(socket, vec![table, set, chain, rule])
}

/// Cuts just these links.
pub(super) fn cut(socket: &mut Socket, links: &BTreeSet<Link>) -> io::Result<()> {
    let flush = message(DELETE_ELEMENTS, 0).text(1, TABLE).text(2, SET);
    let mut messages = vec![flush];
    if !links.is_empty() {
        let elements = message(NEW_ELEMENTS, CREATE).text(1, TABLE).text(2, SET);
        messages.push(
            elements.nested(3, |list| {
                links.iter().fold(list, |list, link| list.nested(LIST_ELEMENT, pair(link)))
            }),
        );
    }
    batch(socket, messages)
}

fn pair(link: &Link) -> impl FnOnce(Message) -> Message + use<> {
    let [from, to] = [link.from, link.to].map(|node| address(node as u8 + 1).octets());
    let key = [from, to].concat();
    move |element| element.nested(1, |data| data.attribute(1, &key))
}

/// The expressions of the one rule. Registers are numbered; number 0 is the verdict.
fn drop_pairs_in_the_set(rule: Message) -> Message {
    const VERDICT: u32 = 0;
    const REGISTER: u32 = 1;
    const META_PROTOCOL: u32 = 1;
    const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
    const NETWORK_HEADER: u32 = 1;
    const SOURCE_AND_DESTINATION: (u32, u32) = (12, 8);
    const DROP: u32 = 0;
    let (offset, length) = SOURCE_AND_DESTINATION;
    let rule = expression(rule, "meta", |data| data.number(2, META_PROTOCOL).number(1, REGISTER));
    let rule = expression(rule, "cmp", |data| {
        data.number(1, REGISTER).number(2, 0).nested(3, |value| value.attribute(1, &ETHERTYPE_IPV4))
    });
    let rule = expression(rule, "payload", |data| {
        data.number(1, REGISTER).number(2, NETWORK_HEADER).number(3, offset).number(4, length)
    });
    let rule = expression(rule, "lookup", |data| data.text(1, SET).number(2, REGISTER).number(4, SET_ID));
    let rule = expression(rule, "counter", |data| data);
    expression(rule, "immediate", |data| {
        data.number(1, VERDICT).nested(2, |value| value.nested(2, |verdict| verdict.number(1, DROP)))
    })
}

fn expression(rule: Message, name: &str, fill: impl FnOnce(Message) -> Message) -> Message {
    rule.nested(LIST_ELEMENT, |element| element.text(1, name).nested(2, fill))
}

fn message(kind: u16, flags: u16) -> Message {
    Message::new(kind, flags | ACK, &[FAMILY_BRIDGE, 0, 0, 0])
}

/// All of `messages` or none.
fn batch(socket: &mut Socket, mut messages: Vec<Message>) -> io::Result<()> {
    let [high, low] = SUBSYSTEM.to_be_bytes();
    let bound = |kind| Message::new(kind, 0, &[0, 0, high, low]);
    messages.insert(0, bound(BATCH_BEGIN));
    messages.push(bound(BATCH_END));
    socket.request(messages)
}
