//! Dependencies among transactions that append to lists and read them whole (Kingsbury & Alvaro 2020, Section 4.2).
//!
//! The one idea: a list that was read is the history of its object, so the longest that anybody read is the order of all versions,
//! and each read stands between two appends of it. Nothing is guessed: where two reads contradict each other, or one value was
//! appended twice, the object gives no edges.

use hashbrown::HashMap;

use super::anomaly::{Anomalies, Anomaly};
use super::explain::{self, Story};
use super::graph::{Edges, Kind};
use super::inferred::{Inferred, Unclear};
use super::steps::{Act, Step, Transactions};
use crate::history::{Datum, Outcome};

/// The longest list anybody read of a key, and what was done with it.
struct Object<'t> {
    transactions: &'t Transactions<'t>,
    key: u32,
    appends: Vec<Append>,
    /// By element, the place among `appends`.
    places: HashMap<Datum, u32>,
    reads: Vec<Read>,
    /// What a transaction read against what it had read or appended itself.
    internal: Vec<(u32, Datum, Anomaly)>,
    twice: Option<Datum>,
    order: &'t [Datum],
}

#[derive(Debug, Clone, Copy)]
struct Append {
    transaction: u32,
    element: Datum,
    /// Whether the transaction appended nothing more to the same list.
    is_last: bool,
}

/// A read of what others had appended.
#[derive(Debug, Clone, Copy)]
struct Read {
    transaction: u32,
    /// The list as it was read, and how much of it stood there before the transaction's own appends.
    list: Datum,
    length: u32,
    /// Whether the reader appended to it afterwards or before.
    appends: bool,
}

/// What the reads of lists tell.
/// Once it is out of time, it stops at the next object.
pub(super) fn infer(transactions: &Transactions<'_>, out_of_time: &dyn Fn() -> bool) -> Inferred {
    let mut inferred = Inferred { edges: Edges::among(transactions.len()), ..Inferred::default() };
    inferred.committed = committed(transactions);
    for key in (0..transactions.keys.len() as u32).take_while(|_| !out_of_time()) {
        let object = Object::of(transactions, key);
        if let Some(element) = object.twice {
            inferred.unclear.get_or_insert(Unclear { key, value: element });
            continue;
        }
        object.tell_internal(&mut inferred.anomalies);
        object.tell_reads(&mut inferred.anomalies);
        if object.order_is_clear(&mut inferred.anomalies) {
            object.tell_lost_updates(&inferred.committed, &mut inferred.anomalies);
            object.connect(&inferred.committed, &mut inferred.edges);
        }
    }
    inferred
}

/// Whether each transaction is known to have happened: those that are `ok`, and uncertain ones that somebody saw.
fn committed(transactions: &Transactions<'_>) -> Vec<bool> {
    let mut committed: Vec<bool> =
        (0..transactions.len()).map(|at| transactions.outcome(at as u32) == Outcome::Ok).collect();
    let mut keys: Vec<u32> = Vec::new();
    for at in 0..transactions.len() as u32 {
        if transactions.outcome(at) == Outcome::Info {
            keys.extend(transactions.steps(at).iter().map(|step| step.key));
        }
    }
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let object = Object::of(transactions, key);
        let writers = object.order.iter().filter_map(|&element| object.append_of(element));
        for append in writers.filter(|append| transactions.outcome(append.transaction) == Outcome::Info) {
            committed[append.transaction as usize] = true;
        }
    }
    committed
}

impl<'t> Object<'t> {
    fn of(transactions: &'t Transactions<'t>, key: u32) -> Object<'t> {
        let mut object = Object {
            transactions,
            key,
            appends: Vec::new(),
            places: HashMap::new(),
            reads: Vec::new(),
            internal: Vec::new(),
            twice: None,
            order: &[],
        };
        for (transaction, steps) in transactions.about(key) {
            object.take(transaction, steps);
        }
        object.places.reserve(object.appends.len());
        for (append, place) in object.appends.iter().zip(0..) {
            if object.places.insert(append.element, place).is_some() {
                object.twice.get_or_insert(append.element);
            }
        }
        let longest = object.reads.iter().max_by_key(|read| read.length);
        object.order = longest.map_or(&[], |read| object.seen(read));
        object
    }

    /// What one transaction did: its own appends are cut off the end of what it read.
    fn take(&mut self, transaction: u32, steps: impl Iterator<Item = Step> + Clone) {
        let (appended, read) = (self.appends.len(), self.reads.len());
        for step in steps {
            if step.act == Act::Write {
                let (element, is_last) = (step.value, true);
                if let Some(before) = self.appends[appended..].last_mut() {
                    before.is_last = false;
                }
                self.appends.push(Append { transaction, element, is_last });
                continue;
            }
            let items = self.items(step.value);
            let own = &self.appends[appended..];
            let behind = items.len().checked_sub(own.len());
            let ends_with_own = behind.is_some_and(|behind| {
                own.iter().zip(&items[behind..]).all(|(append, item)| append.element == *item)
            });
            let Some(behind) = behind.filter(|_| ends_with_own) else {
                self.internal.push((transaction, step.value, Anomaly::Internal));
                continue;
            };
            let before = self.reads[read..].last().map(|before| self.seen(before));
            if before.is_some_and(|before| *before != items[..behind]) {
                self.internal.push((transaction, step.value, Anomaly::NonRepeatableRead));
                if !own.is_empty() {
                    continue;
                }
            }
            let length = behind as u32;
            self.reads.push(Read { transaction, list: step.value, length, appends: false });
        }
        let appends = self.appends.len() > appended;
        self.reads[read..].iter_mut().for_each(|read| read.appends = appends);
    }

    /// The items of a list; an empty one may have been written as `null`.
    fn items(&self, list: Datum) -> &'t [Datum] {
        self.transactions.history.values.as_list(list).unwrap_or(&[])
    }

    fn seen(&self, read: &Read) -> &'t [Datum] {
        &self.items(read.list)[..read.length as usize]
    }

    fn append_of(&self, element: Datum) -> Option<Append> {
        self.places.get(&element).map(|&place| self.appends[place as usize])
    }

    fn is_aborted(&self, append: Append) -> bool {
        self.transactions.outcome(append.transaction) == Outcome::Fail
    }

    fn is_beginning(&self, read: &Read) -> bool {
        self.order.starts_with(self.seen(read))
    }

    fn tell_internal(&self, anomalies: &mut Anomalies) {
        for &(transaction, list, anomaly) in &self.internal {
            anomalies.add(anomaly, || {
                let story = Story::new(self.transactions, &[transaction]);
                let read = story.read(transaction, self.key, list);
                let sentence =
                    format!("{read}, which is not what it had read and appended there itself before");
                story.failure(anomaly, Some(self.key), sentence)
            });
            let items = self.items(list);
            if let Some(at) = items.iter().position(|element| self.is_suspicious(element)) {
                let length = items.len() as u32;
                let read = Read { transaction, list, length, appends: false };
                self.tell_suspicious(&read, &items[at..], anomalies);
            }
        }
    }

    /// Whether nobody appended it, or one who was aborted.
    fn is_suspicious(&self, element: &Datum) -> bool {
        self.append_of(*element).is_none_or(|append| self.is_aborted(append))
    }

    /// What a single read shows: elements of nobody, of the aborted, and of transactions that were not yet done.
    fn tell_reads(&self, anomalies: &mut Anomalies) {
        let first = self.order.iter().position(|element| self.is_suspicious(element));
        for read in &self.reads {
            let seen = self.seen(read);
            // Beginnings of the longest list need not be looked at one element after another.
            let suspicious = match self.is_beginning(read) {
                true => first.filter(|&first| first < seen.len()),
                false => seen.iter().position(|element| self.is_suspicious(element)),
            };
            if let Some(at) = suspicious {
                self.tell_suspicious(read, &seen[at..], anomalies);
            }
            let Some(&last) = seen.last() else {
                continue;
            };
            let between = self.append_of(last).filter(|append| !append.is_last);
            if let Some(append) = between.filter(|append| append.transaction != read.transaction) {
                anomalies.add(Anomaly::G1b, || {
                    let story = Story::new(self.transactions, &[append.transaction, read.transaction]);
                    let (reader, writer) = (read.transaction, story.name(append.transaction));
                    let did = story.read(reader, self.key, read.list);
                    let element = explain::shown(self.transactions, last);
                    let sentence =
                        format!("{did}, up to {element}, behind which {writer} itself appended more");
                    story.failure(Anomaly::G1b, Some(self.key), sentence)
                });
            }
            if self.append_of(last).is_some_and(|append| append.transaction == read.transaction) {
                self.tell_future(read, anomalies);
            }
        }
    }

    fn tell_suspicious(&self, read: &Read, rest: &[Datum], anomalies: &mut Anomalies) {
        let shown = |element| explain::shown(self.transactions, element);
        let reader = read.transaction;
        if let Some(&element) = rest.iter().find(|element| !self.places.contains_key(*element)) {
            anomalies.add(Anomaly::GarbageRead, || {
                let story = Story::new(self.transactions, &[reader]);
                let did = story.read(reader, self.key, read.list);
                let sentence = format!("{did}, although nobody ever appended {}", shown(element));
                story.failure(Anomaly::GarbageRead, Some(self.key), sentence)
            });
        }
        let mut known = rest.iter().filter_map(|&element| self.append_of(element));
        let Some(aborted) = known.find(|&append| self.is_aborted(append)) else {
            return;
        };
        anomalies.add(Anomaly::G1a, || {
            let story = Story::new(self.transactions, &[aborted.transaction, reader]);
            let did = story.read(reader, self.key, read.list);
            let (writer, element) = (story.name(aborted.transaction), shown(aborted.element));
            let sentence = format!("{did}, and {element} is of {writer}, which was aborted");
            story.failure(Anomaly::G1a, Some(self.key), sentence)
        });
        let Some(behind) = known.find(|&append| !self.is_aborted(append)) else {
            return;
        };
        anomalies.add(Anomaly::DirtyUpdate, || {
            let story = Story::new(self.transactions, &[aborted.transaction, behind.transaction, reader]);
            let did = story.read(reader, self.key, read.list);
            let (writer, element) = (story.name(aborted.transaction), shown(aborted.element));
            let (other, next) = (story.name(behind.transaction), shown(behind.element));
            let sentence = format!(
                "{did}, where {next} of {other} stands behind {element} of {writer}, which was aborted"
            );
            story.failure(Anomaly::DirtyUpdate, Some(self.key), sentence)
        });
    }

    /// A read of what the reader itself appended only later.
    fn tell_future(&self, read: &Read, anomalies: &mut Anomalies) {
        anomalies.add(Anomaly::Internal, || {
            let story = Story::new(self.transactions, &[read.transaction]);
            let did = story.read(read.transaction, self.key, read.list);
            let sentence = format!("{did}, whose end it had not appended yet");
            story.failure(Anomaly::Internal, Some(self.key), sentence)
        });
    }

    /// Whether all reads are beginnings of one list without repetition.
    fn order_is_clear(&self, anomalies: &mut Anomalies) -> bool {
        let mut elements = self.order.to_vec();
        elements.sort_unstable();
        let repeated = elements.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        let longest = self.reads.iter().max_by_key(|read| read.length);
        if let (Some(element), Some(longest)) = (repeated, longest) {
            anomalies.add(Anomaly::DuplicateElements, || {
                let story = Story::new(self.transactions, &[longest.transaction]);
                let did = story.read(longest.transaction, self.key, longest.list);
                let element = explain::shown(self.transactions, element);
                let sentence = format!("{did}, with {element} in it twice, which was appended once");
                story.failure(Anomaly::DuplicateElements, Some(self.key), sentence)
            });
        }
        let mut is_clear = repeated.is_none();
        for read in self.reads.iter().filter(|read| !self.is_beginning(read)) {
            is_clear = false;
            let longest = longest.expect("there is a read");
            anomalies.add(Anomaly::IncompatibleOrder, || {
                let story = Story::new(self.transactions, &[longest.transaction, read.transaction]);
                let did = story.read(longest.transaction, self.key, longest.list);
                let other = story.read(read.transaction, self.key, read.list);
                let sentence = format!("{did}, and {other}: neither is how the other began");
                story.failure(Anomaly::IncompatibleOrder, Some(self.key), sentence)
            });
        }
        is_clear
    }

    /// Two that read one version and both appended to it.
    fn tell_lost_updates(&self, is_committed: &[bool], anomalies: &mut Anomalies) {
        let mut updates: Vec<(u32, u32)> = self
            .reads
            .iter()
            .filter(|read| read.appends && is_committed[read.transaction as usize])
            .map(|read| (read.length, read.transaction))
            .collect();
        updates.sort_unstable();
        updates.dedup();
        for same in updates.chunk_by(|one, other| one.0 == other.0).filter(|same| same.len() > 1) {
            anomalies.add(Anomaly::LostUpdate, || {
                let story = Story::new(self.transactions, &[same[0].1, same[1].1]);
                let (one, other) = (story.name(same[0].1), story.name(same[1].1));
                let object = explain::key(self.transactions, self.key);
                let list = explain::list(self.transactions.history, &self.order[..same[0].0 as usize]);
                let sentence = format!("{one} and {other} both found {object} = {list} and appended to it");
                story.failure(Anomaly::LostUpdate, Some(self.key), sentence)
            });
        }
    }

    /// For each place in the order, and the one behind it, the first committed append from there on.
    fn next_appends(&self) -> Vec<Option<Append>> {
        let mut next = vec![None; self.order.len() + 1];
        for (at, &element) in self.order.iter().enumerate().rev() {
            let append = self.append_of(element).filter(|&append| !self.is_aborted(append));
            next[at] = append.or(next[at + 1]);
        }
        next
    }

    /// The edges.
    fn connect(&self, is_committed: &[bool], edges: &mut Edges) {
        let next = self.next_appends();
        let at = |place: usize| next[place].map(|append| append.transaction);
        let is_there = |place: usize| next[place].is_some_and(|append| append.element == self.order[place]);
        let mut last = None;
        for writer in (0..self.order.len()).filter(|&place| is_there(place)).filter_map(at) {
            if let Some(before) = last.replace(writer) {
                edges.add(before, writer, Kind::Ww, self.key);
            }
        }
        let mut readers_of_all = Vec::new();
        for read in &self.reads {
            let length = read.length as usize;
            if length > 0 && is_there(length - 1) {
                edges.add(at(length - 1).expect("it is there"), read.transaction, Kind::Wr, self.key);
            }
            match at(length) {
                Some(next) => edges.add(read.transaction, next, Kind::Rw, self.key),
                None => readers_of_all.push(read.transaction),
            }
        }
        // What was committed and is in no list comes behind all that were read.
        let mut unseen = self.unseen(is_committed);
        unseen.dedup();
        readers_of_all.dedup();
        if let Some(last) = last {
            unseen.iter().for_each(|&transaction| edges.add(last, transaction, Kind::Ww, self.key));
        }
        edges.add_all(&readers_of_all, &unseen, Kind::Rw, self.key);
    }

    /// Who surely appended something that nobody read, ascending.
    fn unseen(&self, is_committed: &[bool]) -> Vec<u32> {
        let mut is_seen = vec![false; self.appends.len()];
        for element in self.order {
            if let Some(&place) = self.places.get(element) {
                is_seen[place as usize] = true;
            }
        }
        let unseen = self.appends.iter().zip(is_seen).filter(|(_, is_seen)| !is_seen);
        let transactions = unseen.map(|(append, _)| append.transaction);
        transactions.filter(|&transaction| is_committed[transaction as usize]).collect()
    }
}

/// Why one transaction comes before another, by what was done with `key`; the story knows both.
pub(super) fn why(story: &Story<'_>, key: u32, (one, other): (u32, u32), kind: Kind) -> String {
    let transactions = story.transactions();
    let object = Object::of(transactions, key);
    let next = object.next_appends();
    let shown = |element| explain::shown(transactions, element);
    let (before, after) = (story.name(one), story.name(other));
    let reads = |reader: u32| object.reads.iter().filter(move |read| read.transaction == reader);
    if kind == Kind::Wr {
        let of_one =
            |element: &Datum| object.append_of(*element).is_some_and(|append| append.transaction == one);
        let is_it = |read: &&Read| object.seen(read).last().is_some_and(of_one);
        let read = reads(other).find(is_it).expect("the edge comes from such a read");
        let (did, last) = (story.read(other, key, read.list), object.seen(read)[read.length as usize - 1]);
        return format!("{did}, and {} was appended by {before}", shown(last));
    }
    let behind = |place: usize| match next[place] {
        Some(append) => (append.transaction == other).then_some((append.element, "right behind that")),
        None => {
            let mut of_other = object.appends.iter().filter(|append| append.transaction == other);
            let is_unseen = |append: &&Append| !object.order.contains(&append.element);
            of_other.find(is_unseen).map(|append| (append.element, "which nobody had seen yet"))
        }
    };
    if kind.is_rw() {
        let found = reads(one).find_map(|read| Some((read, behind(read.length as usize)?)));
        let (read, (element, place)) = found.expect("the edge comes from such a read");
        let did = story.read(one, key, read.list);
        return format!("{did}, and {after} appended {} {place}", shown(element));
    }
    let found = object.order.iter().enumerate().find_map(|(place, &element)| {
        let append = object.append_of(element).filter(|append| append.transaction == one)?;
        Some((append.element, behind(place + 1)?))
    });
    let (element, (later, place)) = found.expect("the edge comes from such a pair");
    let name = explain::key(transactions, key);
    format!("{before} appended {} to {name}, and {after} {} {place}", shown(element), shown(later))
}
