//! The command line's grammar, with examples and exit codes in every help text.

use clap::CommandFactory;

use super::args::Arguments;
use super::exit;

/// Examples for the help of a command; none for commands that clap adds.
fn examples(command: &str) -> &'static str {
    match command {
        "demo" => {
            "  clipmill demo                     # draws and runs in ./clipmill-demo
  clipmill demo --dir /data/demo --images 1000
  clipmill demo --format json | jq .tables"
        }
        "check" => {
            "  clipmill check pipelines/*.toml
  clipmill check pipeline.toml --set stages.image_features.batch_size=64
  clipmill check pipelines/*.toml --format json | jq '.errors[].message'
  clipmill check --locked pipelines/*.toml --format github --junit check.xml"
        }
        "lock" => {
            "  clipmill lock pipelines/flickr30k.toml      # writes pipelines/clipmill.lock
  clipmill lock pipelines/*.toml && git add pipelines/clipmill.lock"
        }
        "plan" => {
            "  clipmill plan pipelines/flickr30k.toml
  clipmill plan pipeline.toml --set models.clip.dtype=bf16      # what would that cost?
  clipmill plan pipeline.toml --detailed-exitcode || clipmill run pipeline.toml
  clipmill plan pipeline.toml --format json | jq .tables.image_features.new"
        }
        "explain" => {
            "  clipmill explain pipelines/flickr30k.toml 1000092795
  clipmill explain pipeline.toml 1000092795 --caption 2
  clipmill explain pipeline.toml 1000092795 --format json | jq '.rows[].reason'"
        }
        "run" => {
            "  clipmill run pipelines/flickr30k.toml
  clipmill run pipeline.toml --set models.clip.device=cuda
  clipmill run pipeline.toml --only image_features --retry-rejects
  clipmill run pipeline.toml --format json --log-file run.log
  clipmill run --locked pipeline.toml --format github --junit contracts.xml"
        }
        "train" => {
            "  clipmill train pipelines/flickr30k.toml
  clipmill train pipeline.toml --set stages.captioner.train.epochs=3 --set models.gpt2.device=cuda
  tensorboard --logdir stores/flickr30k/runs"
        }
        "caption" => {
            "  clipmill caption pipelines/flickr30k.toml photo.jpg holiday/ --beams 5
  clipmill caption pipeline.toml photo.jpg --top-p 0.8 --samples 5 --seed 1
  clipmill caption pipeline.toml holiday/ --format json | jq -r '.images[].captions[0].text'"
        }
        "evaluate" => {
            "  clipmill evaluate pipelines/flickr30k.toml --split test
  clipmill evaluate pipeline.toml --set stages.generated.beams=5 --format json | jq .scores"
        }
        "import-checkpoint" => {
            "  clipmill import-checkpoint coco_weights.pt --into pipeline.toml
  clipmill import-checkpoint epoch-9.pt --into stores/flickr8k-zh --stage captioner"
        }
        "export-checkpoint" => {
            "  clipmill export-checkpoint pipeline.toml --output captioner.safetensors
  clipmill export-checkpoint pipeline.toml --format pytorch-names -o clipcap.safetensors"
        }
        "query" => {
            "  clipmill query pipeline.toml \"SHOW TABLES\"
  clipmill query stores/flickr30k \"SELECT split, COUNT(*) AS n FROM captions GROUP BY split\"
  clipmill query pipeline.toml \"SELECT image_id, cosine(embedding, clip_text('two dogs on grass')) AS score
      FROM image_features ORDER BY score DESC LIMIT 5\" --format json
  clipmill query pipeline.toml - --format csv < report.sql
  clipmill query pipeline.toml \"SELECT COUNT(*) FROM captions\" --at 3   # as it was at version 3
  clipmill query pipeline.toml      # opens a prompt"
        }
        "history" => {
            "  clipmill history stores/flickr30k
  clipmill history pipeline.toml image_features --limit 5
  clipmill history pipeline.toml captions --format json | jq '.tables.captions[0].reasons'"
        }
        "diff" => {
            "  clipmill diff pipeline.toml image_features 3..5
  clipmill diff stores/flickr30k captions 7.. --limit 50      # from version 7 to the newest
  clipmill diff pipeline.toml captions 3..5 --format json | jq .changed"
        }
        "restore" => {
            "  clipmill restore pipeline.toml captions 3      # the newest version is then equal to 3
  clipmill restore stores/flickr30k captions 3 --format json"
        }
        "vacuum" => {
            "  clipmill vacuum pipeline.toml --dry-run
  clipmill vacuum stores/flickr30k --older-than 7d
  clipmill vacuum pipeline.toml image_features --older-than 12h --format json"
        }
        "verify" => {
            "  clipmill verify stores/flickr30k                # the tables
  clipmill verify pipelines/flickr30k.toml        # and sources, weights and kept indexes
  clipmill verify pipeline.toml captions --format json | jq .faults"
        }
        "completions" => {
            "  clipmill completions bash > ~/.local/share/bash-completion/completions/clipmill
  clipmill completions zsh > ~/.zfunc/_clipmill"
        }
        "schema" => {
            "  clipmill schema > pipeline.schema.json   # name it in a definition's first line:
  #:schema pipeline.schema.json"
        }
        _ => {
            "  clipmill demo
  clipmill check pipelines/*.toml
  clipmill run pipelines/flickr30k.toml
  clipmill query pipelines/flickr30k.toml \"SELECT image_id, text FROM captions LIMIT 5\""
        }
    }
}

fn after_help(command: &str) -> String {
    format!("Examples:\n{}\n\nExit codes:\n{}", examples(command), exit::table())
}

/// The whole grammar, as parsing, help and completions use it.
#[must_use]
pub fn grammar() -> clap::Command {
    let mut grammar = Arguments::command().after_help(after_help(""));
    let names: Vec<String> =
        grammar.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names {
        let text = after_help(&name);
        grammar = grammar.mut_subcommand(name, |command| command.after_help(text));
    }
    grammar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_holds_together() {
        grammar().debug_assert();
    }

    #[test]
    fn every_command_shows_its_own_examples_and_the_exit_codes() {
        // What is hidden is no command of the user's.
        for command in grammar().get_subcommands_mut().filter(|c| !c.is_hide_set()) {
            let name = command.get_name().to_owned();
            let help = command.render_help().to_string();
            assert!(help.contains(&format!("  clipmill {name}")), "{help}");
            assert!(help.contains("130  interrupted"), "{help}");
        }
    }

    #[test]
    fn examples_parse() {
        for name in [
            "",
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
            "train",
            "caption",
            "evaluate",
            "import-checkpoint",
            "export-checkpoint",
            "completions",
            "schema",
        ] {
            // A line's end inside quotes belongs to the statement; comments and pipes do not.
            for line in examples(name).replace("score\n", "score ").lines() {
                let Some(line) = line.trim().strip_prefix("clipmill ") else { continue };
                let line = line.split(['#', '|', '>', '<']).next().unwrap();
                let mut words = vec!["clipmill".to_owned()];
                for (i, part) in line.split('"').enumerate() {
                    if i % 2 == 1 {
                        words.push(part.to_owned());
                    } else {
                        words.extend(part.split_whitespace().map(str::to_owned));
                    }
                }
                grammar().try_get_matches_from(&words).unwrap_or_else(|e| panic!("{line}: {e}"));
            }
        }
    }
}
