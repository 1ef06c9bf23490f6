//! The parameters of an address that the client library does not read.

use percent_encoding::percent_decode_str;

/// The parameters that are read here, as PostgreSQL's own programs name them.
const NAMES: [&str; 5] = ["sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs"];

/// An address without some of its parameters, and these.
pub(super) struct Parameters {
    /// The rest of the address.
    pub(super) rest: String,
    taken: Vec<(&'static str, String)>,
}

impl Parameters {
    /// Takes the parameters out of an address. What is not UTF-8 is replaced, and is no valid value.
    pub(super) fn take_from(url: &str) -> Self {
        let Some((before, query)) = url.split_once('?') else {
            return Parameters { rest: url.to_owned(), taken: Vec::new() };
        };
        let (mut rest, mut taken) = (Vec::new(), Vec::new());
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(name) = NAMES.into_iter().find(|known| *known == name) else {
                rest.push(pair);
                continue;
            };
            taken.push((name, percent_decode_str(value).decode_utf8_lossy().into_owned()));
        }
        let rest = if rest.is_empty() { before.to_owned() } else { format!("{before}?{}", rest.join("&")) };
        Parameters { rest, taken }
    }

    /// The value of a parameter. The last one counts.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.taken.iter().rev().find(|(taken, _)| *taken == name).map(|(_, value)| value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_the_others_stay() {
        let found = Parameters::take_from(
            "postgres://ada@a,b:1/tasks?sslmode=verify-full&connect_timeout=3&sslrootcert=%2Fetc%2Fca%20x.crt&sslmode=require",
        );
        assert_eq!(found.rest, "postgres://ada@a,b:1/tasks?connect_timeout=3");
        assert_eq!(found.get("sslrootcert").as_deref(), Some("/etc/ca x.crt"));
        assert_eq!(found.get("sslmode").as_deref(), Some("require"));
        assert_eq!(found.get("sslkey"), None);
        let found = Parameters::take_from("postgres://ada@a/tasks?sslmode=disable");
        assert_eq!(found.rest, "postgres://ada@a/tasks");
    }
}
