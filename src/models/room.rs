//! Lists that keep little room to spare, so that what a model says it takes is what it takes.

/// Lengthens a list to `len` by copies of `value`, where it is shorter. New columns come seldom, and mostly all at once.
#[inline]
pub(super) fn lengthen<T: Clone>(list: &mut Vec<T>, len: usize, value: T) {
    if list.len() < len {
        list.reserve_exact(len - list.len());
        list.resize(len, value);
    }
}

/// Appends, making room for an eighth more.
#[inline]
pub(super) fn push<T>(list: &mut Vec<T>, value: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 8 + 1);
    }
    list.push(value);
}
