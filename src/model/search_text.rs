//! How texts and queries are compared in the full-text search: both are folded by [`fold`], so that forms of a character
//! that a reader takes for the same one are the same, and words are separated in the same places.

use unicode_general_category::{GeneralCategory, get_general_category};
use unicode_normalization::UnicodeNormalization as _;

/// Between two words of a folded text.
const WORD_END: char = '\n';
/// Between two tokens of one word.
const TOKEN_END: char = ' ';

/// The words of a text, one per line, each as its tokens with a space between them.
///
/// Compatibility forms (full-width letters, ligatures), case, and diacritics are folded. A word of a script that is
/// written without spaces between words, or whose parts readers search for, has a token per character. Other words are
/// one token, and so is a symbol such as an emoji. All else separates words.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return fold_ascii(text);
    }
    let mut folded = Folded { text: String::with_capacity(text.len()), last: Part::Separator };
    let mut base = '\0';
    let letters = text.nfkd().filter(move |&c| {
        if is_diacritic(c) {
            return c == BREVE && matches!(base, 'и' | 'И');
        }
        base = c;
        true
    });
    // Composed again, because Hangul syllables and voiced kana are letters of their own.
    letters.flat_map(char::to_lowercase).flat_map(Spelling::of).nfc().for_each(|c| folded.push(c));
    folded.text
}

/// The words of a query, each folded. A text matches a word if it contains the word's tokens one after the other.
pub fn words(query: &str) -> Vec<String> {
    fold(query).split(WORD_END).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// As [`fold`], for the most frequent texts, without tables of Unicode.
fn fold_ascii(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut is_in_word = false;
    for byte in text.bytes() {
        let is_in_word_before = std::mem::replace(&mut is_in_word, byte.is_ascii_alphanumeric());
        if is_in_word {
            if !is_in_word_before && !folded.is_empty() {
                folded.push(WORD_END);
            }
            folded.push(char::from(byte.to_ascii_lowercase()));
        }
    }
    folded
}

/// What a character is for the separation of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A letter or digit of a word that is one token.
    Letter,
    /// A character that is a token of its own.
    Token,
    /// A mark that belongs to the character before it.
    Mark,
    /// A character without an effect.
    Nothing,
    /// All else.
    Separator,
}

impl Part {
    fn of(c: char) -> Part {
        match c {
            // Arabic letters are stretched with it.
            '\u{0640}' => return Part::Nothing,
            // Skin colors.
            '\u{1F3FB}'..='\u{1F3FF}' => return Part::Nothing,
            // A zero-width space is written where a word ends.
            '\u{200B}' => return Part::Separator,
            // Letters for Unicode that are written as apostrophes and quotation marks, too.
            '\u{02B9}'..='\u{02BF}' => return Part::Separator,
            _ => {}
        }
        match get_general_category(c) {
            GeneralCategory::NonspacingMark
            | GeneralCategory::SpacingMark
            | GeneralCategory::EnclosingMark => Part::Mark,
            // Soft hyphens, joiners, directions of writing.
            GeneralCategory::Format => Part::Nothing,
            GeneralCategory::OtherSymbol => Part::Token,
            _ if !c.is_alphanumeric() => Part::Separator,
            _ if is_token(c) => Part::Token,
            _ => Part::Letter,
        }
    }
}

/// A folded text, as far as it is written.
struct Folded {
    text: String,
    last: Part,
}

impl Folded {
    fn push(&mut self, c: char) {
        let part = Part::of(c);
        match (part, self.last) {
            (Part::Nothing, _) | (Part::Mark, Part::Separator) => return,
            (Part::Mark, _) => return self.text.push(c),
            (Part::Separator, _) => {}
            (_, Part::Separator) => {
                if !self.text.is_empty() {
                    self.text.push(WORD_END);
                }
                self.text.push(c);
            }
            (Part::Letter, Part::Letter) => self.text.push(c),
            _ => self.text.extend([TOKEN_END, c]),
        }
        self.last = part;
    }
}

/// Cyrillic й is a letter of its own, as in Unicode's collation; all other letters with a breve are folded.
const BREVE: char = '\u{0306}';

/// Whether a decomposed character is a diacritic: a mark that a text is often written without. Marks of other scripts
/// are part of the spelling: the vowels of Indic scripts and Thai, the voicing of kana.
fn is_diacritic(c: char) -> bool {
    let is_of_such_a_script = matches!(
        c,
        '\u{0300}'..='\u{036F}' // Latin, Greek and Cyrillic
            | '\u{0483}'..='\u{0489}' // old Cyrillic
            | '\u{0591}'..='\u{05C7}' // Hebrew points and accents
            | '\u{0610}'..='\u{06ED}' // Arabic vowels, hamzas and signs of the Koran
            | '\u{0711}'..='\u{074A}' // Syriac points
            | '\u{0898}'..='\u{08FF}' // more Arabic signs
            | '\u{1AB0}'..='\u{1AFF}'
            | '\u{1DC0}'..='\u{1DFF}'
            | '\u{20D0}'..='\u{20FF}' // around symbols
            | '\u{302A}'..='\u{302D}' // tones beside ideographs
            | '\u{FE00}'..='\u{FE0F}' // variants of one character
            | '\u{FE20}'..='\u{FE2F}'
            | '\u{E0100}'..='\u{E01EF}'
    );
    is_of_such_a_script
        && matches!(get_general_category(c), GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark)
}

/// Whether a letter is a token of its own: its script is written without spaces between words (Chinese, Japanese, Thai,
/// Lao, Burmese, Khmer, Yi), or joins words that are searched for separately (Korean).
fn is_token(c: char) -> bool {
    matches!(
        c,
        '\u{0E00}'..='\u{0EFF}' // Thai, Lao
            | '\u{1000}'..='\u{109F}' // Burmese
            | '\u{1100}'..='\u{11FF}' // Hangul letters
            | '\u{1780}'..='\u{17FF}' // Khmer
            | '\u{1950}'..='\u{1AAF}' // Tai
            | '\u{2E80}'..='\u{31FF}' // kana, bopomofo, signs beside ideographs
            | '\u{3400}'..='\u{4DBF}'
            | '\u{4E00}'..='\u{A4CF}' // ideographs, Yi
            | '\u{A960}'..='\u{A97F}'
            | '\u{A9E0}'..='\u{A9FF}'
            | '\u{AA60}'..='\u{AADF}'
            | '\u{AC00}'..='\u{D7FF}' // Hangul syllables
            | '\u{F900}'..='\u{FAFF}'
            | '\u{16FE0}'..='\u{18DFF}' // Tangut, Khitan
            | '\u{1AFF0}'..='\u{1B2FF}' // more kana, Nüshu
            | '\u{20000}'..='\u{3FFFF}'
    )
}

/// How a lowercase letter is spelt in the index.
#[derive(Debug)]
enum Spelling {
    One(std::iter::Once<char>),
    Several(std::str::Chars<'static>),
}

impl Spelling {
    /// Letters that Unicode does not decompose, although they are written as these others where a keyboard lacks them.
    fn of(letter: char) -> Spelling {
        let several = match letter {
            'ß' => "ss",
            'æ' => "ae",
            'œ' => "oe",
            'þ' => "th",
            'đ' | 'ð' => "d",
            'ħ' => "h",
            'ı' => "i",
            'ł' => "l",
            'ø' => "o",
            'ŧ' => "t",
            'ς' => "σ",
            letter => return Spelling::One(std::iter::once(letter)),
        };
        Spelling::Several(several.chars())
    }
}

impl Iterator for Spelling {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        match self {
            Spelling::One(letter) => letter.next(),
            Spelling::Several(letters) => letters.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, words: &[&str]) {
        assert_eq!(super::words(text), words, "{text:?}");
        assert_eq!(fold(text), words.join("\n"), "{text:?}");
        // What is folded once is not changed by folding again.
        assert_eq!(fold(&fold(text)).replace('\n', " "), fold(text).replace('\n', " "), "{text:?}");
    }

    #[test]
    fn a_text_consists_of_folded_words() {
        check("", &[]);
        check(" -- \"*\" ", &[]);
        check("Archive, mail: NOT*(2)", &["archive", "mail", "not", "2"]);
        check("naïve Café", &["naive", "cafe"]);
        check("nai\u{308}ve Cafe\u{301}", &["naive", "cafe"]);
    }

    #[test]
    fn case_and_compatibility_forms_are_folded() {
        check("ＡＰＩ２", &["api2"]);
        check("ﬁle Straße STRASSE ẞ", &["file", "strasse", "strasse", "ss"]);
        check("İstanbul ISTANBUL ıstanbul", &["istanbul", "istanbul", "istanbul"]);
        check("Łódź Ærø Đorđe", &["lodz", "aero", "dorde"]);
        check("ΟΔΟΣ οδός", &["οδοσ", "οδοσ"]);
        check("Daten\u{AD}bank", &["datenbank"]);
        check("п'ять пʼять п’ять", &["п", "ять", "п", "ять", "п", "ять"]);
    }

    #[test]
    fn marks_that_are_optional_are_dropped_and_letters_are_kept() {
        check("Ёлка мой мои\u{306} МОЙ мои", &["елка", "мой", "мой", "мой", "мои"]);
        check("שָׁלוֹם مَكْتَبَة أحمد كـــتاب", &["שלום", "مكتبة", "احمد", "كتاب"]);
        check("हिन्दी", &["हिन्दी"]);
        check("தமிழ் বাংলা", &["தமிழ்", "বাংলা"]);
        check("క్షేత్రం", &["క్షేత్రం"]);
    }

    #[test]
    fn characters_of_scripts_without_spaces_are_tokens() {
        check("升级数据库", &["升 级 数 据 库"]);
        check("API数据库v2", &["api 数 据 库 v2"]);
        check("データ ﾃﾞｰﾀ テ\u{3099}ータ", &["デ ー タ", "デ ー タ", "デ ー タ"]);
        check("はハばパ", &["は ハ ば パ"]);
        check("데이터베이스", &["데 이 터 베 이 스"]);
        check("\u{1103}\u{1166}", &["데"]);
        check("น้ำท่วม", &["น้ํ า ท่ ว ม"]);
        check("𠮷野家", &["𠮷 野 家"]);
    }

    #[test]
    fn a_symbol_is_a_token() {
        check("ship it 🚀🚀", &["ship", "it", "🚀 🚀"]);
        check("👍🏽 ❤\u{FE0F}", &["👍", "❤"]);
        check("👩\u{200D}💻", &["👩 💻"]);
    }

    #[test]
    fn ascii_is_folded_as_any_other_text() {
        let ascii: String = (0..128_u8).map(char::from).cycle().take(300).collect();
        let with_letter = format!("{ascii} é");
        assert_eq!(format!("{}\ne", fold(&ascii)), fold(&with_letter));
    }
}
