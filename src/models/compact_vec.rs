//! Vectors with little spare capacity, so that the memory a model reports is the memory it takes: they grow by an
//! eighth instead of doubling.

/// Lengthens a shorter list to `len` with copies of `value`. New columns are rare and mostly come all at once.
#[inline]
pub(super) fn lengthen<T: Clone>(list: &mut Vec<T>, len: usize, value: T) {
    if list.len() < len {
        list.reserve_exact(len - list.len());
        list.resize(len, value);
    }
}

/// Appends; a full list first grows its capacity by an eighth.
#[inline]
pub(super) fn push<T>(list: &mut Vec<T>, value: T) {
    grow_if_full(list);
    list.push(value);
}

/// Inserts; a full list first grows its capacity by an eighth.
#[inline]
pub(super) fn insert<T>(list: &mut Vec<T>, at: usize, value: T) {
    grow_if_full(list);
    list.insert(at, value);
}

#[inline]
fn grow_if_full<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 8 + 4);
    }
}

/// Estimates the bytes that such a list takes, within 7 % if it is long. The real capacity differs after a restore, so
/// no decision may depend on it.
pub(super) fn bytes_of<T>(list: &[T]) -> usize {
    let spare = if list.is_empty() { 0 } else { list.len() / 16 + 2 };
    (list.len() + spare) * size_of::<T>()
}
