//! Columns of a view: one number for each endpoint, known by name when a strategy is compiled and by index afterwards.

/// The most columns of one pool. They are kept until it ends, because strategies that were replaced may still read them.
pub const MAX_COLUMNS: usize = 256;

/// Index of a column in every [`View`](crate::view::View) of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Column(u16);

impl Column {
    /// Requests waiting in the server's queue.
    pub const WAITING: Self = Self(0);
    /// Requests being computed.
    pub const RUNNING: Self = Self(1);
    /// Share of the KV cache in use, 0 to 1.
    pub const KV_USAGE: Self = Self(2);
    /// Asks for the size of the KV cache. It has no numbers here: they are [`View::block_size`](crate::view::View::block_size)
    /// and [`View::num_blocks`](crate::view::View::num_blocks).
    pub const CACHE_CONFIG: Self = Self(3);
    /// Asks for LoRA adapters, which have no numbers here either.
    pub const LORA: Self = Self(4);
    /// Asks for the models that servers list, which are [`View::models`](crate::view::View::models).
    pub const MODELS: Self = Self(5);

    /// Its index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Names of the columns that every picker knows, in the order of their indexes.
const KNOWN: [&str; 6] = ["waiting", "running", "kv-usage", "cache-config", "lora", "models"];

/// The names of a pool's columns. None is ever taken out.
#[derive(Clone, Debug)]
pub struct Columns(Vec<Box<str>>);

impl Default for Columns {
    fn default() -> Self {
        Self(KNOWN.map(Box::from).into())
    }
}

impl Columns {
    /// The column called `name`, a new one if there is none; `None` when there would be more than [`MAX_COLUMNS`].
    pub fn intern(&mut self, name: &str) -> Option<Column> {
        let index = match self.0.iter().position(|known| **known == *name) {
            Some(index) => index,
            None if self.0.len() < MAX_COLUMNS => {
                self.0.push(name.into());
                self.0.len() - 1
            }
            None => return None,
        };
        Some(Column(index as u16))
    }

    /// Name of `column`.
    pub fn name(&self, column: Column) -> Option<&str> {
        self.0.get(column.index()).map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_columns_and_there_is_an_end_to_them() {
        let mut columns = Columns::default();
        assert_eq!(columns.intern("running"), Some(Column::RUNNING));
        let own = columns.intern("own").unwrap();
        assert_eq!((own.index(), columns.intern("own"), columns.name(own)), (6, Some(own), Some("own")));
        let made = (0..300).filter_map(|n| columns.intern(&n.to_string())).count();
        assert_eq!((made, columns.intern("more"), columns.intern("own")), (249, None, Some(own)));
    }
}
