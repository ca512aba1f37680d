//! `clipmill explain`: the rows of one image, and why they are as they are.

use serde_json::{Value, json};

use crate::base::Result;
use crate::base::units::{Bytes, count};
use crate::cli::args::{Explain, Format};
use crate::cli::console;
use crate::cli::exit::Code;
use crate::cli::session::Session;
use crate::definition::pipeline::Pipeline;
use crate::definition::stage::{Operator, Stage};
use crate::plan::{Fingerprint, Reason, resolve_only};
use crate::run::Sight;

use super::{definition, run};

/// Digits of a digest that people are shown.
const DIGITS: usize = 12;

/// Says what is known of an image.
///
/// # Errors
/// As `clipmill plan`, and when no source holds the image.
pub(crate) fn perform(args: &Explain, session: &Session) -> Result<Code> {
    let pipeline = definition::read(&args.file, &args.set, session)?;
    let plan = resolve_only(&pipeline, &args.file, &tables(&pipeline))?;
    let _watch = session.stop_on_signals()?;
    let options = run::options(session);
    let seen = crate::run::explain(&plan, &options, &args.image_id, args.caption)?;
    match args.format {
        Format::Human => {
            let texts: Vec<_> = seen.iter().map(human).collect();
            console::print(&texts.join("\n\n"))?;
        }
        Format::Json => {
            let rows: Vec<_> = seen.iter().map(object).collect();
            let object = json!({
                "command": "explain", "image_id": args.image_id, "rows": rows, "exit_code": 0,
            });
            console::print(&object.to_string())?;
        }
    }
    Ok(Code::Success)
}

/// The tables that have rows of single images. What is trained on them, and its model, need not be
/// there, unless rows are made with it.
fn tables(pipeline: &Pipeline) -> Vec<String> {
    let trains =
        |stage: &Stage| matches!(stage.operator, Operator::TrainClip(_) | Operator::Train(_));
    let stages = pipeline.stages.iter().filter(|stage| !trains(stage));
    stages.map(|stage| stage.table.value.clone()).collect()
}

/// A paragraph of one row.
fn human(sight: &Sight) -> String {
    let caption = sight.caption_index.map(|n| format!(", caption {n}")).unwrap_or_default();
    let mut lines = Vec::new();
    let mut line = |name: &str, text: String| lines.push((name.to_owned(), text));
    if let Some(origin) = &sight.origin {
        let mut place = format!("{} of source {}", origin.member, origin.source);
        if let Some(archive) = &sight.archive {
            place.push_str(&format!(", in {}", archive.display()));
        }
        place.push_str(&format!(", at byte {}", count(origin.offset)));
        if let Some(size) = sight.size_bytes {
            place.push_str(&format!(", {}", Bytes(size)));
        }
        line("read from", place);
    }
    match (sight.digest, &sight.stored) {
        (Some(now), Some((stored, _))) if now == *stored => {
            line("made of", format!("{}, as stored", short(&now.to_string())));
        }
        (Some(now), Some((stored, _))) => line(
            "made of",
            format!("{} is stored, {} now", short(&stored.to_string()), short(&now.to_string())),
        ),
        (Some(now), None) => {
            line("made of", format!("{}; no row is stored", short(&now.to_string())))
        }
        (None, Some((stored, _))) => {
            line("made of", format!("{} is stored; not read now", short(&stored.to_string())));
        }
        (None, None) => {}
    }
    if let Some(part) = &sight.part {
        line("stored in", part.clone());
    }
    for (fact, stored, now) in facts(sight) {
        let stored = stored.as_deref().map(|value| Fingerprint::as_defined(&fact, value));
        let now = now.as_deref().map(|value| Fingerprint::as_defined(&fact, value));
        let name = stored.or(now).map_or("", |(name, _)| name);
        let text = match (stored.map(|(_, value)| value), now.map(|(_, value)| value)) {
            (Some(stored), Some(now)) if stored == now => short(now),
            (Some(stored), Some(now)) => {
                format!("{} is stored, {} now", short(stored), short(now))
            }
            (Some(stored), None) => format!("{} is stored, none now", short(stored)),
            (None, Some(now)) => short(now),
            (None, None) => continue,
        };
        line(name, text);
    }
    if let Some((reject, attempts)) = &sight.reject {
        let times = if *attempts == 1 { "once".to_owned() } else { format!("{attempts} times") };
        line("refused", format!("{}: {}; tried {times}", reject.class, reject.message));
    }
    let widest = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let head = format!("{}: {}{caption}: {}", sight.table, sight.image_id, verdict(sight));
    let lines = lines.iter().map(|(name, text)| format!("  {name:<widest$}  {text}"));
    std::iter::once(head).chain(lines).collect::<Vec<_>>().join("\n")
}

/// What becomes of the row, in words.
fn verdict(sight: &Sight) -> String {
    let Some(reason) = sight.reason else { return "refused, and no row".to_owned() };
    let words = match reason {
        Reason::New => "new: no row is stored, a run computes it",
        Reason::ContentChanged => "what it is made of changed: a run computes it again",
        Reason::WeightsChanged => {
            "weights, their configuration or tokenizer changed: a run computes it again"
        }
        Reason::SettingsChanged => "a setting that changes it changed: a run computes it again",
        Reason::OperatorChanged => {
            "a newer operator computes other values: a run computes it again"
        }
        Reason::PartDamaged => {
            "the part that held it is missing or damaged: a run computes it again"
        }
        Reason::Moved => "the same content at another place: a run rewrites the place",
        Reason::Resumed => "an earlier run computed it and did not publish: a run takes it over",
        Reason::Removed => "no source holds it any more: a run removes it",
        Reason::RejectedEarlier if sight.stored.is_some() => {
            "refused: a run removes the row that is stored"
        }
        Reason::RejectedEarlier => {
            "refused earlier; the same bytes are not tried again \
                                    (--retry-rejects does)"
        }
        Reason::UpToDate => "up to date",
    };
    words.to_owned()
}

/// Each fact of the fingerprint as stored and as of now.
fn facts(sight: &Sight) -> Vec<(String, Option<String>, Option<String>)> {
    let none = Fingerprint::default();
    let before = if sight.stored.is_some() { stored_facts(sight) } else { &none };
    let names: std::collections::BTreeSet<_> =
        before.parts().keys().chain(sight.facts.parts().keys()).collect();
    names
        .into_iter()
        .map(|name| {
            let of = |facts: &Fingerprint| facts.parts().get(name).cloned();
            (name.clone(), of(before), of(&sight.facts))
        })
        .collect()
}

/// The facts behind the stored row: today's where its fingerprint is today's.
fn stored_facts(sight: &Sight) -> &Fingerprint {
    let now = sight.facts.digest().to_string();
    let same = sight.stored.as_ref().is_some_and(|(_, fingerprint)| *fingerprint == now);
    if same { &sight.facts } else { &sight.before }
}

/// Digests are cut, other values are shown whole.
fn short(value: &str) -> String {
    let is_digest = value.len() == 64 && value.chars().all(|c| c.is_ascii_hexdigit());
    match value {
        "" => "nothing".to_owned(),
        _ if is_digest => value.chars().take(DIGITS).collect(),
        _ => value.to_owned(),
    }
}

fn object(sight: &Sight) -> Value {
    let origin = sight.origin.as_ref().map(|origin| {
        json!({
            "source": &*origin.source, "member": &*origin.member, "offset": origin.offset,
            "archive": sight.archive, "size_bytes": sight.size_bytes,
        })
    });
    let facts = facts(sight).into_iter().map(|(name, stored, now)| {
        let same = stored == now;
        (name, json!({"stored": stored, "now": now, "same": same}))
    });
    json!({
        "table": sight.table,
        "image_id": sight.image_id,
        "caption_index": sight.caption_index,
        "reason": sight.reason.map(Reason::name),
        "explanation": verdict(sight),
        "read_from": origin,
        "digest": {"stored": sight.stored.as_ref().map(|(digest, _)| digest), "now": sight.digest},
        "part": sight.part,
        "facts": facts.collect::<serde_json::Map<_, _>>(),
        "reject": sight.reject.as_ref().map(|(reject, attempts)| json!({
            "class": reject.class.name(), "message": reject.message, "attempts": attempts,
        })),
    })
}
