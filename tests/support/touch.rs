//! What items touch, by a slow and obvious reference.

use super::rng::Rng;

/// Paths that are near to each other, in several spellings.
pub(crate) fn path(rng: &mut Rng) -> String {
    const NAMES: [&str; 4] = ["a", "b", "a-b", "A"];
    let mut path = String::new();
    for _ in 0..=rng.below(3) {
        path += ["", "", "./", "b/../"][rng.below(4) as usize];
        path += NAMES[rng.below(4) as usize];
        path += ["/", "/", "//", "/./"][rng.below(4) as usize];
    }
    if rng.below(2) == 0 {
        path.truncate(path.trim_end_matches(['/', '.']).len());
    }
    if rng.below(12) == 0 { format!("/{path}") } else { path }
}

/// The parts of a path, the obvious way: the root first.
pub(crate) fn parts(path: &str) -> Vec<String> {
    let mut parts = vec![if path.starts_with('/') { "/" } else { "." }.to_owned()];
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part.to_owned());
        }
    }
    parts
}

pub(crate) fn touch_the_same(one: &[Vec<String>], other: &[Vec<String>]) -> bool {
    one.iter().any(|a| other.iter().any(|b| a.starts_with(b) || b.starts_with(a)))
}

/// The pairs of chunks that a refusal names.
pub(crate) fn named(message: &str) -> Vec<(usize, usize)> {
    let number = |text: &str| text.split(' ').next().unwrap().parse().unwrap();
    let told = message.split_once("times: ").unwrap().1;
    told.split("; ")
        .filter_map(|one| {
            let mut chunks = one.split("chunk ").skip(1).map(number);
            let (one, other): (usize, usize) = (chunks.next()?, chunks.next()?);
            Some((one.min(other), one.max(other)))
        })
        .collect()
}
