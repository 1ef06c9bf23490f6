//! Values of SQL, the same for SQLite and PostgreSQL.

/// A value of a column. Booleans are the integers 0 and 1, as SQLite stores them.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

/// What can be a parameter of a statement.
pub(crate) trait ToValue {
    fn to_value(&self) -> Value;
}

/// What a column can be read as. Another type or NULL fails the test.
pub(crate) trait FromValue: Sized {
    fn from_value(value: Value) -> Self;
}

/// What a row can be read as.
pub(crate) trait FromRow {
    fn from_row(row: Vec<Value>) -> Self;
}

impl ToValue for Value {
    fn to_value(&self) -> Value {
        self.clone()
    }
}

impl ToValue for str {
    fn to_value(&self) -> Value {
        Value::Text(self.to_owned())
    }
}

impl ToValue for String {
    fn to_value(&self) -> Value {
        Value::Text(self.clone())
    }
}

impl ToValue for Vec<u8> {
    fn to_value(&self) -> Value {
        Value::Blob(self.clone())
    }
}

impl<const N: usize> ToValue for [u8; N] {
    fn to_value(&self) -> Value {
        Value::Blob(self.to_vec())
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value {
        (**self).to_value()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

impl FromValue for Value {
    fn from_value(value: Value) -> Self {
        value
    }
}

impl FromValue for bool {
    fn from_value(value: Value) -> Self {
        i64::from_value(value) != 0
    }
}

impl FromValue for String {
    fn from_value(value: Value) -> Self {
        let Value::Text(text) = value else { panic!("{value:?} is no text") };
        text
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: Value) -> Self {
        let Value::Blob(bytes) = value else { panic!("{value:?} is no bytes") };
        bytes
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value) -> Self {
        (value != Value::Null).then(|| T::from_value(value))
    }
}

macro_rules! integers {
    ($($kind:ty),*) => {$(
        impl ToValue for $kind {
            fn to_value(&self) -> Value {
                Value::Integer(i64::try_from(*self).expect("a number of 64 bits"))
            }
        }

        impl FromValue for $kind {
            fn from_value(value: Value) -> Self {
                let Value::Integer(number) = value else { panic!("{value:?} is no integer") };
                number.try_into().expect("a number in the range of its type")
            }
        }
    )*};
}

integers!(i32, i64, u32, u64, usize);

impl<T: FromValue> FromRow for T {
    fn from_row(row: Vec<Value>) -> Self {
        let [value] = row.try_into().expect("one column");
        T::from_value(value)
    }
}

impl FromRow for Vec<Value> {
    fn from_row(row: Vec<Value>) -> Self {
        row
    }
}

macro_rules! tuples {
    ($($kind:ident $name:ident),*) => {
        impl<$($kind: FromValue),*> FromRow for ($($kind),*) {
            fn from_row(row: Vec<Value>) -> Self {
                let [$($name),*] = row.try_into().expect("as many columns as the tuple has fields");
                ($($kind::from_value($name)),*)
            }
        }
    };
}

tuples!(A a, B b);
tuples!(A a, B b, C c);
tuples!(A a, B b, C c, D d);
tuples!(A a, B b, C c, D d, E e);
