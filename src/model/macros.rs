//! Macros for parameter types: enums of fixed words, bounded integers, and inline schemas.

/// Defines an enum whose values are words on the wire, in SQL and on the command line.
macro_rules! word_enum {
    (
        $(#[$meta:meta])* $name:ident, $what:literal {
            $( $(#[$vmeta:meta])* $variant:ident = $word:literal $(| $alias:literal)* ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $( $(#[$vmeta])* $variant ),+ }

        impl $name {
            /// All values.
            pub const ALL: &'static [$name] = &[ $( $name::$variant ),+ ];

            /// The word on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $( $name::$variant => $word ),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(word: &str) -> Result<Self, String> {
                match word {
                    $( $word $(| $alias)* => Ok($name::$variant), )+
                    other => {
                        let all: Vec<_> = Self::ALL.iter().map(|value| value.as_str()).collect();
                        Err(format!(
                            "'{}' is not a valid {}; allowed: {}",
                            crate::model::text::excerpt(other), $what, all.join(", ")
                        ))
                    }
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = <String as serde::Deserialize>::deserialize(deserializer)?;
                word.parse().map_err(serde::de::Error::custom)
            }
        }

        inline_schema!($name, { "type": "string", "enum": [ $( $word ),+ ] });
    };
}

/// Defines an integer type with bounds; schema and error message name the bounds.
macro_rules! bounded_integer {
    ($(#[$meta:meta])* $name:ident, $low:literal ..= $high:literal, $allowed:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(i64);

        impl $name {
            /// The number.
            pub const fn get(self) -> i64 { self.0 }

            /// A constant; a value out of bounds fails to compile.
            pub const fn of(value: i64) -> Self {
                assert!(value >= $low && value <= $high);
                $name(value)
            }
        }

        impl TryFrom<i64> for $name {
            type Error = String;
            fn try_from(value: i64) -> Result<Self, String> {
                if ($low..=$high).contains(&value) {
                    Ok($name(value))
                } else {
                    Err(format!("{value} is out of range; allowed: {}", $allowed))
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                let text = text.trim();
                match (text.parse::<i64>(), text.parse::<f64>()) {
                    (Ok(value), _) => Self::try_from(value),
                    (Err(_), Ok(value)) => $crate::model::limits::whole_number(value)
                        .ok_or_else(|| format!("'{text}' is not a whole number; allowed: {}", $allowed))
                        .and_then(Self::try_from),
                    (Err(_), Err(_)) => Err(format!(
                        "'{}' is not a whole number; allowed: {}",
                        $crate::model::text::excerpt(text),
                        $allowed
                    )),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Whole;
                impl serde::de::Visitor<'_> for Whole {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("a whole number, ", $allowed))
                    }
                    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<$name, E> {
                        $name::try_from(value).map_err(E::custom)
                    }
                    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<$name, E> {
                        i64::try_from(value)
                            .map_err(|_| E::custom(format!("{value} is out of range; allowed: {}", $allowed)))
                            .and_then(|value| $name::try_from(value).map_err(E::custom))
                    }
                    // Clients and worker commands also write 5.0 and "5".
                    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<$name, E> {
                        value.to_string().parse().map_err(E::custom)
                    }
                    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<$name, E> {
                        value.parse().map_err(|reason: String| E::custom(reason))
                    }
                }
                deserializer.deserialize_any(Whole)
            }
        }

        inline_schema!($name, { "type": "integer", "minimum": ($low as i64), "maximum": ($high as i64) });
    };
}

/// Implements `JsonSchema` with the given inline schema, for types that deserialize from another form.
macro_rules! inline_schema {
    ($name:ident, $schema:tt) => {
        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}
