//! Lists that grow by an eighth instead of doubling: most of a tree's memory is in such lists, and a budget is only true
//! where little of it is spare.

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

/// What such a list takes whose contents take so many bytes, within 7 % where it is long: how much is spare depends on how long ago it
/// grew, and must not decide anything, because a restart forgets it.
pub(super) fn with_slack(bytes: usize) -> usize {
    // Half of what is spare after growing, in entries of about 48 bytes.
    if bytes == 0 { 0 } else { bytes + bytes / 16 + 2 * 48 }
}
