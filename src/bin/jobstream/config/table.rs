//! Tables of the config file whose keys have no flags.

/// Declares a table of the config file, with the name, type and documentation of each key for the reference.
macro_rules! table {
    ($(#[$attribute:meta])* pub(crate) struct $name:ident {
        $($(#[doc = $doc:literal])+ $(#[serde($($serde:tt)*)])? pub(crate) $key:ident: $type:ty,)+
    }) => {
        $(#[$attribute])* pub(crate) struct $name {
            $($(#[doc = $doc])+ $(#[serde($($serde)*)])? pub(crate) $key: $type,)+
        }

        impl $name {
            /// The name, type and documentation of each key.
            pub(super) const KEYS: &[(&str, &str, &str)] =
                &[$((stringify!($key), stringify!($type), concat!($($doc),+))),+];
        }
    };
}
pub(super) use table;
