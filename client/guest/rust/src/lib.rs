//! A guest with a function on byte strings (docs/bytes.md). `bytes_function!` is all that such a guest needs;
//! copy it, or make the same exports with wit-bindgen from `func(list<u8>) -> list<u8>`.

use std::alloc::{alloc, realloc, Layout};

/// What a function returns the address of.
#[repr(C)]
pub struct Bytes {
    data: *mut u8,
    size: usize,
}

/// The Canonical ABI's allocator.
///
/// # Safety
/// As its callers, all of them the daemon, promise: `old` has `old_size` bytes, or is null with 0.
#[no_mangle]
pub unsafe extern "C" fn cabi_realloc(old: *mut u8, old_size: usize, align: usize, size: usize) -> *mut u8 {
    if size == 0 {
        return align as *mut u8;
    }
    let place = if old_size == 0 {
        alloc(Layout::from_size_align_unchecked(size, align))
    } else {
        realloc(old, Layout::from_size_align_unchecked(old_size, align), size)
    };
    if place.is_null() {
        std::process::abort();
    }
    place
}

/// Exports `$name` and its post-return for `$body: fn(Vec<u8>) -> Vec<u8>`.
#[macro_export]
macro_rules! bytes_function {
    ($name:literal, $post:literal, $call:ident, $free:ident, $body:expr) => {
        #[export_name = $name]
        unsafe extern "C" fn $call(data: *mut u8, size: usize) -> *mut $crate::Bytes {
            let input = Vec::from_raw_parts(data, size, size);
            let output: Box<[u8]> = ($body)(input).into_boxed_slice();
            let size = output.len();
            let data = Box::into_raw(output) as *mut u8;
            Box::into_raw(Box::new($crate::Bytes { data, size }))
        }
        #[export_name = $post]
        unsafe extern "C" fn $free(bytes: *mut $crate::Bytes) {
            let bytes = Box::from_raw(bytes);
            drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(bytes.data, bytes.size)));
        }
    };
}

bytes_function!("upper", "cabi_post_upper", call_upper, free_upper, |input: Vec<u8>| input.to_ascii_uppercase());
bytes_function!("reverse", "cabi_post_reverse", call_reverse, free_reverse, |mut input: Vec<u8>| {
    input.reverse();
    input
});
