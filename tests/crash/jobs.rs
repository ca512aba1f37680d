//! Several processes: the same rows, and no process that outlives its run.

use std::collections::BTreeMap;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use clipmill::run::{Means, Workers};

use super::binary;
use super::house::{Images, id, picture, put, signal, tar_of};
use super::killed::PLAN;
use super::shapes::{Packing, Plan, Shape};
use super::tables;

const JOBS: &[&str] = &["--jobs", "3"];

/// Enough work that there is time to look at a run.
const LONG: Plan = Plan { after: 150, captions: true, part_rows: 16, ..PLAN };

fn same_rows_and_reasons(plan: Plan) {
    let shape = Shape::new(plan);
    let folder = shape.house.dir.path();
    let alone = binary::complete(folder, &[]);
    shape.reset();
    let together = binary::complete(folder, JOBS);
    tables::assert_same(&tables::read(&shape.store()), &shape.new, "with --jobs");
    for (table, made) in alone["tables"].as_object().unwrap() {
        for count in ["rows", "computed", "resumed"] {
            assert_eq!(together["tables"][table][count], made[count], "{table}: {count}");
        }
    }
    assert_eq!(together["rejects"], alone["rejects"]);
    // What other processes did is in the report of the one that had it done.
    for part in ["decode", "encode", "write"] {
        assert!(together["busy_seconds"][part].as_f64().unwrap() > 0.0, "{part}: {together}");
    }
    for queue in ["members", "images", "rows"] {
        let depth = &together["queues"][queue];
        assert!(depth["capacity"].as_u64().unwrap() > 0, "{queue}: {together}");
    }
    let again = binary::complete(folder, JOBS);
    for (table, made) in again["tables"].as_object().unwrap() {
        assert_eq!(made["published"], false, "{table} was published again");
    }
}

#[test]
fn a_tar_with_rejects_and_captions() {
    same_rows_and_reasons(Plan { bad: true, captions: true, ..PLAN });
}

#[test]
fn a_stream_with_rejects() {
    same_rows_and_reasons(Plan { packing: Packing::TarGz, bad: true, ..PLAN });
}

#[test]
fn several_archives_into_no_store() {
    same_rows_and_reasons(Plan { packing: Packing::Several, before: 0, bad: true, ..PLAN });
}

#[test]
fn an_index_that_holds_is_not_written_again() {
    let shape = Shape::new(Plan { packing: Packing::Several, ..PLAN });
    let folder = shape.house.dir.path();
    binary::complete(folder, JOBS);
    let indexes = || {
        let found = std::fs::read_dir(shape.store().join("_clipmill/index")).unwrap();
        let found = found.map(|entry| entry.unwrap());
        let written = |entry: &std::fs::DirEntry| entry.metadata().unwrap().modified().unwrap();
        let all: BTreeMap<_, _> = found.map(|entry| (entry.file_name(), written(&entry))).collect();
        all
    };
    let before = indexes();
    assert_eq!(before.len(), 3, "{before:?}");
    let others: Images = (100..112).map(|n| (format!("{}.jpg", id(n)), picture(n))).collect();
    put(&shape.house.path("c.tar"), &tar_of(&others));
    binary::complete(folder, JOBS);
    let after = indexes();
    let changed = before.iter().filter(|(name, written)| after.get(*name) != Some(written));
    assert_eq!(changed.count(), 1, "{before:?} {after:?}");
}

/// The processes that a process started, as Linux tells.
fn children(of: &Child) -> Vec<u32> {
    let path = format!("/proc/{0}/task/{0}/children", of.id());
    let own = std::fs::read_to_string(path).unwrap_or_default();
    // Workers are started by threads, whose children the kernel lists by thread.
    let tasks = std::fs::read_dir(format!("/proc/{}/task", of.id()));
    let by_thread = tasks
        .into_iter()
        .flatten()
        .flatten()
        .map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default());
    let all = std::iter::once(own).chain(by_thread).collect::<Vec<_>>().join(" ");
    let mut ids: Vec<u32> = all.split_whitespace().map(|id| id.parse().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn lives(id: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let after_name = state.rsplit(')').next().unwrap_or_default().trim();
    !after_name.is_empty() && !after_name.starts_with('Z')
}

fn within(limit: Duration, mut what: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        if what() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    false
}

fn start(shape: &Shape) -> (Child, Vec<u32>) {
    let mut command = binary::run(shape.house.dir.path(), JOBS);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut found = Vec::new();
    assert!(within(Duration::from_secs(60), || {
        found = children(&child);
        found.len() == 3
    }));
    (child, found)
}

/// Starts a run and, once it has computed something, sends `signal` to one of its processes, if that
/// is still there; again where it came too late, which is where the end is not `as_wanted`.
fn disturbed(
    shape: &Shape,
    signal: &str,
    whom: impl Fn(&Child, &[u32]) -> u32,
    as_wanted: impl Fn(&Output) -> bool,
) -> (Output, Vec<u32>) {
    for _ in 0..5 {
        shape.reset();
        binary::forget(shape.house.dir.path());
        let (child, workers) = start(shape);
        let whom = whom(&child, &workers);
        assert!(within(Duration::from_secs(60), || {
            !lives(whom) || !binary::computed(shape.house.dir.path()).is_empty()
        }));
        if lives(whom) {
            // It may have ended meanwhile.
            signal::send(signal, whom);
        }
        let out = child.wait_with_output().unwrap();
        if as_wanted(&out) {
            return (out, workers);
        }
        // What comes too late disturbs nothing.
        assert!(out.status.success(), "{}", binary::said(&out));
    }
    panic!("every {signal} came too late");
}

#[test]
fn a_worker_that_dies_is_replaced() {
    let shape = Shape::new(LONG);
    let again = |out: &Output| binary::said(out).contains("its work is given out again");
    let (out, _) = disturbed(&shape, "-KILL", |_, workers| workers[1], again);
    assert!(out.status.success(), "{}", binary::said(&out));
    tables::assert_same(&tables::read(&shape.store()), &shape.new, "a worker died");
}

#[test]
fn workers_end_with_a_run_that_is_killed() {
    let shape = Shape::new(LONG);
    let (mut child, workers) = start(&shape);
    assert!(binary::kill(&mut child));
    assert!(
        within(Duration::from_secs(10), || !workers.iter().any(|id| lives(*id))),
        "a worker lives on: {workers:?}"
    );
    tables::assert_whole(&tables::read(&shape.store()), &shape.old, &shape.new, "killed");
    binary::complete(shape.house.dir.path(), JOBS);
    tables::assert_same(&tables::read(&shape.store()), &shape.new, "after the kill");
}

#[test]
fn ctrl_c_stops_all_and_keeps_what_was_made() {
    let shape = Shape::new(LONG);
    let (_, workers) =
        disturbed(&shape, "-INT", |run, _| run.id(), |out| out.status.code() == Some(130));
    assert!(!workers.iter().any(|id| lives(*id)));
    tables::assert_whole(&tables::read(&shape.store()), &shape.old, &shape.new, "Ctrl-C");
    let folder = shape.house.dir.path();
    binary::complete(folder, JOBS);
    tables::assert_same(&tables::read(&shape.store()), &shape.new, "after Ctrl-C");
    let computed = binary::computed(folder);
    for table in ["image_features", "caption_features"] {
        assert_eq!(computed[table], shape.computed[table], "{table}: rows were computed twice");
    }
}

/// What each worker of a run sees of two GPUs, sorted; the models ask for `device`.
fn seen_gpus(device: &str) -> Vec<String> {
    let shape = Shape::new(Plan { before: 0, after: 40, ..PLAN });
    let house = &shape.house;
    let text = std::fs::read_to_string(house.path("pipeline.toml")).unwrap();
    let device = format!(".huggingface]\ndevice = \"{device}\"");
    house.define(&text.replacen(".huggingface]", &device, 1));
    let log = house.path("seen");
    let script = format!(
        "echo \"${{CUDA_VISIBLE_DEVICES-all}}\" >>'{}'; exec '{}' work -",
        log.display(),
        binary::clipmill().get_program().to_str().unwrap()
    );
    let workers = Workers {
        count: std::num::NonZeroUsize::new(3).unwrap(),
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        gpus: vec!["4".into(), "GPU-8a".into()],
    };
    let means = Means { workers: Some(workers), ..Means::default() };
    house.run_on(&means, |_| ()).unwrap();
    tables::assert_same(&tables::read(&shape.store()), &shape.new, "with GPUs");
    let mut seen: Vec<String> =
        std::fs::read_to_string(log).unwrap().lines().map(str::to_owned).collect();
    seen.sort();
    seen
}

#[test]
fn each_process_has_a_gpu_where_the_definition_leaves_it_open() {
    if cfg!(feature = "cuda") {
        println!("skipped: the GPUs of this test are names only, which CUDA would look for");
        return;
    }
    // `auto` is the processor in a build without CUDA.
    assert_eq!(seen_gpus("auto"), ["4", "4", "GPU-8a"]);
    let inherited = std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_else(|_| "all".into());
    assert_eq!(seen_gpus("cpu"), [inherited.as_str(); 3]);
}

#[test]
fn one_unit_by_itself() {
    let plan = Plan { before: 0, captions: true, ..PLAN };
    let shape = Shape::new(plan);
    shape.house.run_with(|options| options.only = vec!["captions".into()]).unwrap();
    let store = shape.house.store();
    let version = store.snapshot("captions").unwrap().unwrap().version();
    let plan = shape.house.plan();
    let stage = plan.stage("caption_features").unwrap();
    let order = serde_json::json!({"unit": {
        "format": clipmill::run::unit::UNIT_FORMAT,
        "id": "by-hand-0",
        "definition": shape.house.path("pipeline.toml"),
        "sets": [],
        "definition_digest": plan.definition_digest,
        "retry_rejects": false,
        "tables": {"caption_features": stage.fingerprint.digest().to_string()},
        "range": {"rows": {"table": "caption_features", "version": version, "from": 3, "to": 13}},
    }});
    let file = shape.house.path("unit.json");
    super::house::put(&file, order.to_string().as_bytes());
    let out = binary::clipmill().arg("work").arg(&file).output().unwrap();
    assert!(out.status.success(), "{}", binary::said(&out));
    assert!(store.snapshot("caption_features").unwrap().is_none(), "nothing is published");
    let staged = store.staged("caption_features").unwrap();
    assert_eq!(staged.iter().map(|part| part.rows).sum::<u64>(), 10);
    assert!(staged.iter().all(|part| part.label.unit.starts_with("by-hand-0")));
    let report = binary::complete(shape.house.dir.path(), &[]);
    assert_eq!(report["tables"]["caption_features"]["resumed"], 10);

    // A unit that nobody orders is refused with how an order looks.
    super::house::put(&file, order["unit"].to_string().as_bytes());
    let out = binary::clipmill().arg("work").arg(&file).output().unwrap();
    assert_eq!(out.status.code(), Some(3));
    assert!(binary::said(&out).contains("unit.json: is no order"), "{}", binary::said(&out));
    assert!(binary::said(&out).contains("{\"unit\": {…}}"), "{}", binary::said(&out));
    super::house::put(&file, order.to_string().as_bytes());

    // Cut for another definition, it is refused.
    let text = std::fs::read_to_string(shape.house.path("pipeline.toml")).unwrap();
    shape.house.define(&text.replace("name = \"small\"", "name = \"other\""));
    let out = binary::clipmill().arg("work").arg(&file).output().unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert!(binary::said(&out).contains("the definition changed"), "{}", binary::said(&out));
}
