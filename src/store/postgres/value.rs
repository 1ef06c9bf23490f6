//! Parameters of statements.

use std::error::Error as StdError;

use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// A parameter. Its variant decides the SQL type that is sent with it, so PostgreSQL need not prepare the statement to find its types.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Value {
    /// A number, or a truth value as 0 or 1.
    Number(Option<i64>),
    /// A text.
    Text(Option<String>),
    /// Bytes.
    Bytes(Option<Vec<u8>>),
    /// A list of numbers.
    Numbers(Vec<Option<i64>>),
    /// A list of texts.
    Texts(Vec<Option<String>>),
    /// A list of byte sequences.
    ByteLists(Vec<Option<Vec<u8>>>),
}

impl Value {
    /// The type that PostgreSQL reads the value as.
    pub(super) fn sql_type(&self) -> Type {
        match self {
            Value::Number(_) => Type::INT8,
            Value::Text(_) => Type::TEXT,
            Value::Bytes(_) => Type::BYTEA,
            Value::Numbers(_) => Type::INT8_ARRAY,
            Value::Texts(_) => Type::TEXT_ARRAY,
            Value::ByteLists(_) => Type::BYTEA_ARRAY,
        }
    }

    /// Whether the value contains the character NUL, which no text of PostgreSQL can.
    pub(super) fn contains_nul(&self) -> bool {
        let has_nul = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\0'));
        match self {
            Value::Text(text) => has_nul(text),
            Value::Texts(texts) => texts.iter().any(has_nul),
            _ => false,
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Value::Number(number) => number.to_sql(ty, out),
            Value::Text(text) => text.to_sql(ty, out),
            Value::Bytes(bytes) => bytes.to_sql(ty, out),
            Value::Numbers(numbers) => numbers.to_sql(ty, out),
            Value::Texts(texts) => texts.to_sql(ty, out),
            Value::ByteLists(lists) => lists.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        // Every value is sent with the type that it has.
        true
    }

    to_sql_checked!();
}

/// A type that can be a parameter.
pub(super) trait ToValue {
    /// The parameter.
    fn to_value(&self) -> Value;
    /// NULL of this type.
    fn null() -> Value;
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value {
        (**self).to_value()
    }

    fn null() -> Value {
        T::null()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value {
        self.as_ref().map_or_else(T::null, T::to_value)
    }

    fn null() -> Value {
        T::null()
    }
}

/// Parameter types: the variant of [`Value`], and how it is made.
macro_rules! to_value {
    ($($type:ty: $variant:ident, $convert:expr;)*) => {$(
        impl ToValue for $type {
            fn to_value(&self) -> Value {
                let convert: fn(&$type) -> _ = $convert;
                Value::$variant(Some(convert(self)))
            }

            fn null() -> Value {
                Value::$variant(None)
            }
        }
    )*};
}

to_value! {
    i64: Number, |number| *number;
    u32: Number, |number| i64::from(*number);
    // No number of a store is larger than 2^53.
    u64: Number, |number| i64::try_from(*number).unwrap_or(i64::MAX);
    usize: Number, |number| i64::try_from(*number).unwrap_or(i64::MAX);
    bool: Number, |value| i64::from(*value);
    str: Text, str::to_owned;
    String: Text, String::clone;
    [u8; 32]: Bytes, |hash| hash.to_vec();
    [u8]: Bytes, <[u8]>::to_vec;
}

/// Lists have no NULL: an empty one stands for it.
macro_rules! list_to_value {
    ($($type:ty: $variant:ident;)*) => {$(
        impl ToValue for $type {
            fn to_value(&self) -> Value {
                Value::$variant(self.iter().cloned().map(Some).collect())
            }

            fn null() -> Value {
                Value::$variant(Vec::new())
            }
        }
    )*};
}

list_to_value! {
    Vec<i64>: Numbers;
    Vec<String>: Texts;
    [String]: Texts;
}

/// The parameters of a statement, in the order `$1`, `$2`, ….
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        vec![$($crate::store::postgres::value::ToValue::to_value(&$value)),*]
    };
}
pub(super) use values;
