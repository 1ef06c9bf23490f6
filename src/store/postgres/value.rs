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

/// Rows of values as one list for each column.
#[derive(Default)]
pub(super) struct Columns(Vec<Value>);

impl Columns {
    /// The columns of rows. All rows have the same types.
    pub(super) fn of(rows: Vec<Vec<Value>>) -> Self {
        let mut columns = Columns::default();
        for row in rows {
            for (index, value) in row.into_iter().enumerate() {
                columns.push(index, value);
            }
        }
        columns
    }

    fn push(&mut self, index: usize, value: Value) {
        if self.0.len() == index {
            self.0.push(match &value {
                Value::Text(_) | Value::Texts(_) => Value::Texts(Vec::new()),
                Value::Bytes(_) | Value::ByteLists(_) => Value::ByteLists(Vec::new()),
                Value::Number(_) | Value::Numbers(_) => Value::Numbers(Vec::new()),
            });
        }
        match (self.0.get_mut(index), value) {
            (Some(Value::Numbers(column)), Value::Number(number)) => column.push(number),
            (Some(Value::Texts(column)), Value::Text(text)) => column.push(text),
            (Some(Value::ByteLists(column)), Value::Bytes(bytes)) => column.push(bytes),
            (_, value) => debug_assert!(false, "column {index} has another type than {value:?}"),
        }
    }

    /// The columns, as the parameters of a statement.
    pub(super) fn into_values(self) -> Vec<Value> {
        self.0
    }
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

impl ToValue for [u64] {
    fn to_value(&self) -> Value {
        Value::Numbers(self.iter().map(|number| Some(number.cast_signed())).collect())
    }

    fn null() -> Value {
        Value::Numbers(Vec::new())
    }
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
