//! Lists that keep little room to spare, so that what a model says it takes is what it takes: growing by an eighth instead of
//! doubling.

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
    make_room(list);
    list.push(value);
}

/// Inserts, making room for an eighth more.
#[inline]
pub(super) fn insert<T>(list: &mut Vec<T>, at: usize, value: T) {
    make_room(list);
    list.insert(at, value);
}

#[inline]
fn make_room<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 8 + 4);
    }
}

/// Bytes that such a list takes, within 7 % where it is long: how much is spare depends on how long ago it grew, and must not
/// decide anything, because a restart forgets it.
pub(super) fn bytes_of<T>(list: &[T]) -> usize {
    let spare = if list.is_empty() { 0 } else { list.len() / 16 + 2 };
    (list.len() + spare) * size_of::<T>()
}
