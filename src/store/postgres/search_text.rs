//! Folded words as PostgreSQL stores and searches them. The program separates and folds the words (see
//! [`crate::model::search_text`]), so PostgreSQL's own dictionaries play no part.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::model::search_text::fold;

/// The longest lexeme, in bytes; PostgreSQL's limit is 2,046.
const MAX_LEXEME: usize = 1_000;
/// The largest position that PostgreSQL stores.
const MAX_POSITION: usize = 16_383;
/// The most positions of one lexeme that PostgreSQL stores.
const MAX_POSITIONS: usize = 255;
/// The most bytes of different lexemes in one value; a `tsvector` has at most 1 MiB, positions included.
const MAX_BYTES: usize = 600_000;

/// A `tsvector` as text: the words of a title, which count most, and of a text.
pub(super) fn search_vector(title: &str, text: &str) -> String {
    let mut positions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut next, mut bytes) = (1, 0);
    for (part, weight) in [(title, "A"), (text, "")] {
        for token in fold(part).split_whitespace() {
            let lexeme = cut(token);
            let position = format!("{}{weight}", next.min(MAX_POSITION));
            next += 1;
            match positions.get_mut(lexeme) {
                Some(found) if found.len() < MAX_POSITIONS => found.push(position),
                Some(_) => {}
                None if bytes + lexeme.len() <= MAX_BYTES => {
                    bytes += lexeme.len() + 8;
                    positions.insert(lexeme.to_owned(), vec![position]);
                }
                None => {}
            }
        }
    }
    let mut vector = String::new();
    for (lexeme, positions) in positions {
        // Writing into a string cannot fail.
        let _ = write!(vector, "{}:{} ", quote(&lexeme), positions.join(","));
    }
    vector
}

/// A `tsquery` as text: all words, each with its tokens one after the other. With `prefixes`, a word also matches longer ones.
pub(super) fn search_query(words: &[String], prefixes: bool) -> String {
    let end = if prefixes { ":*" } else { "" };
    let words: Vec<String> = words
        .iter()
        .map(|word| {
            let mut tokens: Vec<String> = word.split_whitespace().map(|token| quote(cut(token))).collect();
            if let Some(last) = tokens.last_mut() {
                last.push_str(end);
            }
            format!("({})", tokens.join(" <-> "))
        })
        .collect();
    words.join(" & ")
}

/// The start of a token that is stored.
fn cut(token: &str) -> &str {
    &token[..token.floor_char_boundary(MAX_LEXEME)]
}

/// A lexeme in quotation marks.
fn quote(lexeme: &str) -> String {
    format!("'{}'", lexeme.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_positions_and_those_of_a_title_a_weight() {
        assert_eq!(search_vector("Fix it", "it's fixed"), "'fix':1A 'fixed':5 'it':2A,3 's':4 ");
    }

    #[test]
    fn a_query_asks_for_all_words_and_for_tokens_in_their_order() {
        let words = ["fix".to_owned(), "日 本".to_owned()];
        assert_eq!(search_query(&words, false), "('fix') & ('日' <-> '本')");
        assert_eq!(search_query(&words, true), "('fix':*) & ('日' <-> '本':*)");
    }

    #[test]
    fn quotation_marks_and_backslashes_are_doubled() {
        assert_eq!(quote("a'b\\c"), "'a''b\\\\c'");
    }
}
