//! An etcd in its plainest form: all that ever happened as one list, looked through anew for every question.

use serde_json::{Map, Value, json};

/// What it holds before anything has happened: a list of changes, `[revision, "put" or "delete", key, value, lease]`, and leases.
pub(super) fn first() -> Value {
    json!({"revision": 1, "changes": [], "leases": []})
}

/// Makes `state` what is left of it by what was asked; `None` if that cannot have had its result, where it is known.
pub(super) fn step(state: &mut Value, (f, asked, told): (&str, &Value, Option<&Value>)) -> Option<()> {
    let mut would = Map::new();
    match f {
        "range" => drop(would.insert("found".to_owned(), found(state, asked, u64::MAX)?)),
        "transaction" => {
            let revision = state["revision"].as_u64()?;
            let holds = asked["if"].as_array()?.iter().all(|condition| holds(state, condition));
            let steps = if holds { &asked["then"] } else { &asked["else"] };
            let changes = state["changes"].as_array()?.len();
            let mut results = Vec::new();
            for step in steps.as_array()? {
                results.push(one(state, step, revision + 1)?);
            }
            if state["changes"].as_array()?.len() > changes {
                state["revision"] = json!(revision + 1);
            }
            would.insert("then".to_owned(), json!(holds));
            would.insert("results".to_owned(), json!(results));
        }
        "grant-lease" => state["leases"].as_array_mut()?.push(asked.clone()),
        "revoke-lease" => {
            let revision = state["revision"].as_u64()? + 1;
            let keys = now(state, u64::MAX)?;
            for (key, _) in keys.iter().filter(|(_, held)| held[4] == *asked) {
                state["changes"].as_array_mut()?.push(json!([revision, "delete", key, null, 0]));
                state["revision"] = json!(revision);
            }
            state["leases"].as_array_mut()?.retain(|lease| lease != asked);
        }
        "watch" => return told.map_or(Some(()), |told| told_all(state, asked, told)?.then_some(())),
        _ => return Some(()),
    }
    would.insert("revision".to_owned(), state["revision"].clone());
    let nothing = Map::new();
    let told = told.map_or(Some(&nothing), Value::as_object)?;
    told.iter().all(|(name, value)| would.get(name) == Some(value)).then_some(())
}

/// Of each key its latest change up to that revision.
fn now(state: &Value, revision: u64) -> Option<Map<String, Value>> {
    let mut keys = Map::new();
    for change in state["changes"].as_array()? {
        if change[0].as_u64()? <= revision {
            keys.insert(change[2].as_str()?.to_owned(), change.clone());
        }
    }
    keys.retain(|_, change| change[1] == "put");
    Some(keys)
}

fn holds(state: &Value, condition: &Value) -> bool {
    let keys = now(state, u64::MAX).unwrap_or_default();
    let held = condition[0].as_str().and_then(|key| keys.get(key));
    if condition[2] == 0 {
        return held.map_or(&json!(0), |change| &change[0]) == &condition[1];
    }
    let changes = state["changes"].as_array().into_iter().flatten().rev();
    let of_key = changes.filter(|change| change[2] == condition[0]);
    let version = of_key.take_while(|change| change[1] == "put").count();
    json!(version) == condition[2]
}

fn one(state: &mut Value, step: &Value, revision: u64) -> Option<Value> {
    let key = step[1].clone();
    match step[0].as_str()? {
        "put" => {
            let is_free = step[3] == 0 || state["leases"].as_array()?.contains(&step[3]);
            let put = json!([revision, "put", key, step[2], step[3]]);
            state["changes"].as_array_mut()?.push(put);
            is_free.then_some(Value::Null)
        }
        "delete" => {
            let was_there = now(state, u64::MAX)?.contains_key(key.as_str()?);
            if was_there {
                state["changes"].as_array_mut()?.push(json!([revision, "delete", key, null, 0]));
            }
            Some(json!(u64::from(was_there)))
        }
        _ => found(state, &key, revision),
    }
}

/// What a range finds of all that is not newer than `revision`.
fn found(state: &Value, range: &Value, revision: u64) -> Option<Value> {
    let (start, end) = (range["start"].as_str()?, range["end"].as_str()?);
    let asked = range["revision"].as_u64()?;
    if asked > state["revision"].as_u64()? {
        return None;
    }
    let is_asked = |key: &str| match end {
        "" => key == start,
        "\0" => key >= start,
        _ => key >= start && key < end,
    };
    let keys = now(state, if asked == 0 { revision } else { asked })?;
    let mut items: Vec<(&String, &Value)> = keys.iter().filter(|(key, _)| is_asked(key)).collect();
    items.sort_unstable_by_key(|&(key, _)| key);
    let count = items.len();
    let limit = range["limit"].as_u64()?;
    let shown = if limit == 0 { count } else { count.min(limit as usize) };
    let items: Vec<Value> =
        items[..shown].iter().map(|(key, change)| json!([key, change[3], change[0]])).collect();
    Some(json!({"count": count, "items": items}))
}

/// Whether a watch was told of all changes that it must have been told of, and of nothing else.
fn told_all(state: &Value, argument: &Value, told: &Value) -> Option<bool> {
    let (after, until) = (argument["after"].as_u64()?, told["until"].as_u64()?);
    let key = argument["key"].as_str()?;
    let is_prefix = argument["prefix"] == true;
    let is_asked = |name: &str| if is_prefix { name.starts_with(key) } else { name == key };
    let mut changes = Vec::new();
    for change in state["changes"].as_array()? {
        let revision = change[0].as_u64()?;
        if revision > after && revision <= until && is_asked(change[2].as_str()?) {
            let length = if change[1] == "put" { 4 } else { 3 };
            changes.push(json!(change.as_array()?[..length]));
        }
    }
    // Within one revision a watch is told in any order.
    let by_revision = |changes: &mut Vec<Value>| {
        changes.sort_by_key(|change| (change[0].as_u64(), change[2].to_string()));
    };
    let mut told = told["changes"].as_array()?.clone();
    let is_ordered = told.is_sorted_by_key(|change| change[0].as_u64());
    by_revision(&mut told);
    by_revision(&mut changes);
    let has_come = until <= state["revision"].as_u64()? && until >= after;
    Some(is_ordered && has_come && told == changes)
}
