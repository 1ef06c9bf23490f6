//! Bad input for the commands that are not operations.

use crate::calls::Scene;

/// Their arguments.
pub(crate) fn refused(scene: &Scene) -> Vec<Vec<String>> {
    let Scene { task, batch, .. } = scene;
    let chunk = format!("{batch}.1");
    let all: &[&[&str]] = &[
        &["logs", batch],
        &["logs", &chunk],
        &["logs", "nothing"],
        &["report", task],
        &["report", "nothing"],
        &["watch", "nothing"],
        &["watch", batch],
        &["watch"],
        &["run", "--items", "nothing.jsonl", "--", "true"],
        &["run", "--resume", batch],
        &["run", "--resume", "nothing"],
        &["run"],
        &["work", "--batch", batch],
        &["work", "--batch", task, "--", "true"],
        &["work"],
        &["prompt", "work_chunk", "--batch", "not an id"],
        &["verify", "--from", "nothing"],
        &["backup", "-"],
        &["import", "nothing"],
        &["config", "example", "nothing"],
        &["config"],
        &["init", "--write"],
        &["connect"],
        &["nothing"],
        &["--db", "nothing.db", "doctor"],
        &["--db", "nothing.db", "verify"],
        &["doctor"],
    ];
    all.iter().map(|args| args.iter().map(|arg| (*arg).to_owned()).collect()).collect()
}
