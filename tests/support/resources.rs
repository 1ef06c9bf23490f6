//! A slow and obvious reference for resources: which paths overlap.

use super::rng::Rng;

/// A random path. The paths are close to each other and written in several ways.
pub(crate) fn random_path(rng: &mut Rng) -> String {
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

/// The parts of a path, starting with the root (`/` or `.`).
pub(crate) fn path_parts(path: &str) -> Vec<String> {
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

/// Whether a path of one list is equal to a path of the other or contains it.
pub(crate) fn overlap(one: &[Vec<String>], other: &[Vec<String>]) -> bool {
    one.iter().any(|a| other.iter().any(|b| a.starts_with(b) || b.starts_with(a)))
}

/// The pairs of chunks that a refusal names.
pub(crate) fn conflicting_pairs(message: &str) -> Vec<(usize, usize)> {
    let number = |text: &str| text.split(' ').next().unwrap().parse().unwrap();
    let listed = message.split_once(". Shared are: ").unwrap().1;
    listed
        .split("; ")
        .filter_map(|one| {
            let mut chunks = one.split("chunk ").skip(1).map(number);
            let (one, other): (usize, usize) = (chunks.next()?, chunks.next()?);
            Some((one.min(other), one.max(other)))
        })
        .collect()
}
