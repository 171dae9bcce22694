//! One sample's features as the models see them: a dense slice with a column per feature of the stream.
//!
//! Invariant: a known value is finite; an unknown one (absent or null in the record) is NaN. Columns never change
//! their meaning while a stream runs, new ones are appended, so a slice may be longer than what a model has seen.
//! What this does not do: names. The mapping of names to columns belongs to whoever decodes records.

/// A borrowed row of `d` features. Column `i` is NaN where the sample does not know it.
#[derive(Clone, Copy, Debug)]
pub struct Features<'a> {
    values: &'a [f64],
    nominal: &'a [bool],
    all_known_numeric: bool,
}

impl<'a> Features<'a> {
    /// Makes a row of numeric features; NaN marks an unknown value.
    pub fn new(values: &'a [f64]) -> Self {
        Self::with_nominal(values, &[])
    }

    /// Makes a row as [`Features::new`] does, with `nominal[i]` true if column `i` holds the index of a category rather
    /// than a number. Columns past the end of `nominal` are numeric.
    pub fn with_nominal(values: &'a [f64], nominal: &'a [bool]) -> Self {
        // No early exit, which is faster for rows of the usual length.
        let unknown = values.iter().fold(false, |unknown, value| unknown | value.is_nan());
        let all_known_numeric = !unknown && !nominal.contains(&true);
        Self { values, nominal, all_known_numeric }
    }

    /// Returns every column, NaN where unknown.
    pub fn values(&self) -> &'a [f64] {
        self.values
    }

    /// Returns the number of columns, known or not.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns true if there are no columns at all.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns true if every column is a known number, so that a loop need not ask for each.
    pub fn all_known_numeric(&self) -> bool {
        self.all_known_numeric
    }

    /// Returns the value of column `i`, or `None` if it is unknown or past the end.
    pub fn get(&self, i: usize) -> Option<f64> {
        self.values.get(i).copied().filter(|value| !value.is_nan())
    }

    /// Returns true if column `i` holds a category index.
    pub fn is_nominal(&self, i: usize) -> bool {
        self.nominal.get(i).copied().unwrap_or(false)
    }

    /// Returns a row of other values in the same columns.
    pub fn over<'b>(&self, values: &'b [f64]) -> Features<'b>
    where
        'a: 'b,
    {
        Features::with_nominal(values, self.nominal)
    }

    /// Returns a row with the same unknown and nominal columns over other values, as a feature step produces them.
    pub fn replaced(&self, values: &'a [f64]) -> Self {
        Self { values, nominal: self.nominal, all_known_numeric: self.all_known_numeric }
    }
}
