//! Help texts, exit codes of wrong command lines, and what scripts are told.

use super::shop::{code, object, run, shop, stderr, stdout};

const COMMANDS: [&str; 14] = [
    "demo",
    "check",
    "plan",
    "explain",
    "run",
    "lock",
    "query",
    "history",
    "diff",
    "restore",
    "vacuum",
    "verify",
    "completions",
    "schema",
];

#[test]
fn every_help_shows_an_example_and_the_exit_codes() {
    let all = stdout(&run(&["--help"]));
    for command in COMMANDS {
        assert!(all.contains(&format!("\n  {command}")), "{all}");
        let out = run(&[command, "--help"]);
        assert_eq!(code(&out), 0);
        let help = stdout(&out);
        let (_, after) = help.split_once("Examples:\n").unwrap();
        assert!(after.starts_with(&format!("  clipmill {command}")), "{help}");
        let (_, codes) = after.split_once("Exit codes:\n").unwrap();
        let numbers: Vec<&str> =
            codes.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(numbers, ["0", "1", "2", "3", "4", "130"], "{help}");
    }
}

#[test]
fn a_wrong_command_line_is_3_and_writes_nothing_to_standard_output() {
    let definition = shop().definition();
    let definition = definition.to_str().unwrap();
    for args in [
        &["frobnicate"][..],
        &["run"],
        &["check"],
        &["run", definition, "--format", "xml"],
        &["run", definition, "--set", "no_equals_sign"],
        &["check", definition, "--set", "=x"],
        &["query", definition, "SELECT 1", "--format", "xlsx"],
        &["demo", "--images", "0"],
        &["-q", "-v", "schema"],
    ] {
        let out = run(args);
        assert_eq!(code(&out), 3, "{args:?}: {}", stderr(&out));
        assert_eq!(stdout(&out), "", "{args:?}");
        assert!(stderr(&out).contains("error"), "{args:?}: {}", stderr(&out));
    }
}

#[test]
fn a_flag_that_would_change_nothing_is_refused_with_what_to_add() {
    let definition = shop().definition();
    let definition = definition.to_str().unwrap();
    let caption = ["caption", definition, "photo.jpg"];
    let export = ["export-checkpoint", definition, "-o", "x.safetensors"];
    let project = ["--project", "clipcap-chinese"];
    for (args, add) in [
        ([&caption[..], &["--temperature", "2"]].concat(), "--top-k"),
        ([&caption[..], &["--samples", "3"]].concat(), "--top-k"),
        ([&caption[..], &["--seed", "1"]].concat(), "--top-p"),
        ([&caption[..], &["--length-penalty", "2"]].concat(), "--beams"),
        ([&caption[..], &["--beams", "3", "--seed", "1"]].concat(), "cannot be used with"),
        ([&export[..], &project].concat(), "--format pytorch-names"),
        ([&export[..], &project, &["--format", "safetensors"]].concat(), "pytorch-names"),
    ] {
        let out = run(&args);
        assert_eq!(code(&out), 3, "{args:?}: {}", stderr(&out));
        assert_eq!(stdout(&out), "", "{args:?}");
        assert!(stderr(&out).contains(add), "{args:?}: {}", stderr(&out));
    }
    // With what they need they pass: here it is the captioner that the definition has not.
    for args in [&["--top-k", "3", "--temperature", "2"][..], &["--top-p", "0.8", "--seed", "1"]] {
        let out = run(&[&caption[..], args].concat());
        assert!(stderr(&out).contains("trains no captioner"), "{args:?}: {}", stderr(&out));
    }
}

#[test]
fn scripts_learn_from_standard_output_what_failed() {
    let out = run(&["run", "nowhere.toml", "--format", "json"]);
    assert_eq!(code(&out), 1);
    let object = object(&out);
    assert_eq!(object["command"], "run");
    assert_eq!(object["exit_code"], 1);
    assert_eq!(object["error"]["code"], "missing_input");
    assert_eq!(object["error"]["place"], "nowhere.toml");
    assert!(stderr(&out).starts_with("error: nowhere.toml: is not there\nhelp: "));
}

#[test]
fn completions_and_schema_are_whole() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(&run(&["completions", shell]));
        for command in COMMANDS {
            assert!(script.contains(command), "{shell} does not know {command}");
        }
    }
    let schema = object(&run(&["schema"]));
    for block in ["pipeline", "sources", "models", "stages"] {
        assert!(schema["properties"][block].is_object(), "{block}");
    }
}

#[test]
fn colours_are_there_when_asked_for_and_never_else() {
    let plain = run(&["run", "nowhere.toml"]);
    assert!(!stderr(&plain).contains('\x1b'));
    let coloured = run(&["--color", "always", "run", "nowhere.toml"]);
    assert!(stderr(&coloured).contains("\x1b[1;31merror\x1b[0m"));
}

#[test]
fn the_log_goes_to_its_file_and_quiet_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("run.log");
    let definition = shop().definition();
    let out =
        run(&["-q", "--log-file", log.to_str().unwrap(), "run", definition.to_str().unwrap()]);
    assert_eq!((code(&out), stdout(&out), stderr(&out)), (0, String::new(), String::new()));
    assert!(log.is_file());
}

#[test]
fn the_short_help_leaves_out_what_every_command_takes() {
    let (short, long) = (stdout(&run(&["run", "-h"])), stdout(&run(&["run", "--help"])));
    assert!(short.contains("--wait") && !short.contains("--log-level"), "{short}");
    assert!(long.contains("--wait") && long.contains("--log-level"), "{long}");
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_device_that_is_not_there_is_an_error_also_where_nothing_is_to_do() {
    let definition = shop().definition();
    let definition = definition.to_str().unwrap();
    let out = run(&["run", definition, "--set", "models.clip.device=cuda"]);
    assert_eq!(code(&out), 1);
    assert!(stderr(&out).contains("this build of clipmill has no CUDA"), "{}", stderr(&out));
}

#[test]
fn a_run_with_nothing_to_do_has_no_bottleneck() {
    let definition = shop().definition();
    let out = run(&["run", definition.to_str().unwrap()]);
    let said = stdout(&out);
    assert!(said.contains("Nothing to do"), "{said}");
    assert!(!said.contains("bottleneck") && !said.contains("Queues:"), "{said}");
    assert!(said.contains("unchanged"), "{said}");
    assert!(said.contains("Passed over 1 member: folders"), "{said}");
}
