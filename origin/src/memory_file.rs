//! Files of memory: bodies that the kernel sends from where they lie, without a copy.
//!
//! This is the one file with unsafe code, for two things that no safe interface offers. It maps a file
//! that can never change again: the seals (`memfd_create(2)`) see to it that nobody, this process
//! included, writes to it, grows it or cuts it, so a slice of it is as good as a slice of the heap. And
//! it lends a socket's descriptor to `sendfile(2)` for as long as the stream that owns it is borrowed.
//!
//! The memory of a file is never used for anything else while a socket still has pages of it in its
//! queue: they live until the last of both is gone.

#![expect(
    unsafe_code,
    reason = "mapping a sealed file, and a descriptor that its owner does not lend"
)]

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use bytes::Bytes;
use pingora_core::protocols::l4::stream::Stream as TcpStream;
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};

use crate::limits;

/// Bytes of a huge page where pages have 4 KiB; elsewhere no file is made.
const HUGE_BYTES: usize = 2 << 20;
/// Bytes of a page.
const PAGE_BYTES: usize = 4 << 10;
/// The least that a huge page is taken for: an eighth of it may be for nothing.
pub const LEAST_BYTES: usize = HUGE_BYTES / 8 * 7;

/// Bytes in a file of memory that nobody can change.
///
/// Most of it lies in huge pages: sent from small ones, each of which is looked up by itself, it would
/// cost more than half of what the copy does (measured: docs/performance.md).
#[derive(Debug)]
pub struct MemoryFile {
    file: OwnedFd,
    mapping: Mapping,
    len: usize,
}

impl MemoryFile {
    /// A copy of these parts in their order.
    ///
    /// # Errors
    /// Where there is less than [`LEAST_BYTES`]; where the system has no such files (Linux 6.1), no
    /// huge page at hand, or no more descriptors or mappings for us.
    pub fn copy_of(parts: &[Bytes]) -> io::Result<Self> {
        let len = parts.iter().map(Bytes::len).sum::<usize>();
        if len < LEAST_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too small for a huge page"));
        }
        if rustix::param::page_size() != PAGE_BYTES {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "pages are not of 4 KiB"));
        }
        let file = new_file()?;
        rustix::fs::ftruncate(&file, file_bytes(len) as u64)?;
        let mut at = 0;
        for part in parts {
            let mut rest = &part[..];
            while !rest.is_empty() {
                let written = rustix::io::pwrite(&file, rest, at)?;
                at += written as u64;
                rest = &rest[written..];
            }
        }
        rustix::fs::fcntl_add_seals(
            &file,
            SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
        )?;
        let mapping = Mapping::of(&file, file_bytes(len))?;
        mapping.make_huge(huge_bytes(len))?;
        Ok(Self { file, mapping, len })
    }

    /// Memory that it takes in the kernel and in this process.
    pub fn resident_bytes(&self) -> u64 {
        Self::resident_bytes_of(self.len)
    }

    /// Memory that a file of `len` bytes takes: its pages, what leads to small ones, and what a file is.
    pub fn resident_bytes_of(len: usize) -> u64 {
        let pages_bytes = file_bytes(len) as u64;
        pages_bytes + pages_bytes / 256 + PAGE_BYTES as u64
    }

    /// Where `slice` begins, if it is one of [`as_ref`](AsRef::as_ref).
    pub fn offset_of(&self, slice: &[u8]) -> Option<usize> {
        let from = slice.as_ptr().addr().checked_sub(self.mapping.at.addr())?;
        (from.checked_add(slice.len())? <= self.len).then_some(from)
    }

    /// Sends some of the `len` bytes from `offset` on, as many as the socket takes now; how many.
    ///
    /// # Errors
    /// `WouldBlock` where it takes none, and whatever is wrong with it.
    pub fn send(&self, to: &TcpStream, offset: usize, len: usize) -> io::Result<usize> {
        let raw = to.as_raw_fd();
        if raw < 0 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // SAFETY: the stream owns the descriptor and closes it when it is dropped, which it is not while
        // it is borrowed here.
        let socket = unsafe { BorrowedFd::borrow_raw(raw) };
        let mut from = offset as u64;
        Ok(rustix::fs::sendfile(socket, &self.file, Some(&mut from), len)?)
    }
}

impl AsRef<[u8]> for MemoryFile {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the mapping is at least so long, readable, and lives as long as `self`; the file behind
        // it was sealed before it was mapped, so these bytes never change. It begins where the file does.
        unsafe { std::slice::from_raw_parts(self.mapping.at.cast(), self.len) }
    }
}

/// A file without a name and without a byte.
fn new_file() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Some systems want it said that nobody will execute it, and older ones do not know how to.
    let made = rustix::fs::memfd_create(c"headwater", flags | MemfdFlags::NOEXEC_SEAL);
    Ok(made.or_else(|_| rustix::fs::memfd_create(c"headwater", flags))?)
}

/// The size of a file for so many bytes.
fn file_bytes(len: usize) -> usize {
    huge_bytes(len).max(len.next_multiple_of(PAGE_BYTES))
}

/// How much of so many bytes lies in huge pages, the unused rest of the last one included.
fn huge_bytes(len: usize) -> usize {
    let whole = len / HUGE_BYTES * HUGE_BYTES;
    if len - whole >= LEAST_BYTES { whole + HUGE_BYTES } else { whole }
}

/// Pages of this process that show a file, read-only, from a multiple of a huge page on.
#[derive(Debug)]
struct Mapping {
    at: *mut c_void,
    len: usize,
}

// SAFETY: it is memory that nobody writes to, and any thread may unmap it.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// All `len` bytes of `file`, which are whole pages.
    fn of(file: &OwnedFd, len: usize) -> io::Result<Self> {
        let reserved_bytes = len + HUGE_BYTES;
        // SAFETY: a new mapping, at a place that the kernel chooses.
        let reserved = unsafe {
            let place = ptr::null_mut();
            rustix::mm::mmap_anonymous(
                place,
                reserved_bytes,
                ProtFlags::empty(),
                MapFlags::PRIVATE,
            )?
        };
        let mut reserved = Self { at: reserved, len: reserved_bytes };
        let before = reserved.at.addr().next_multiple_of(HUGE_BYTES) - reserved.at.addr();
        let at = reserved.at.wrapping_byte_add(before);
        // SAFETY: it replaces pages of the reservation alone, which nobody has a reference to.
        let mapped = unsafe {
            let flags = MapFlags::PRIVATE | MapFlags::FIXED;
            rustix::mm::mmap(at, len, ProtFlags::READ, flags, file, 0)
        };
        if let Err(error) = mapped {
            // Part of it may be gone already, and others be there: address space is all that is lost.
            std::mem::forget(reserved);
            return Err(error.into());
        }
        reserved.cut_off(before + len);
        let mapping = Self { at, len };
        reserved.len = before;
        Ok(mapping)
    }

    /// Gives back what is behind the first `len` bytes.
    fn cut_off(&mut self, len: usize) {
        let rest = Self { at: self.at.wrapping_byte_add(len), len: self.len - len };
        self.len = len;
        drop(rest);
    }

    /// Puts the first `len` bytes into huge pages, which the file keeps from then on.
    fn make_huge(&self, len: usize) -> io::Result<()> {
        for _ in 1..limits::HUGE_PAGE_TRIES {
            match self.try_make_huge(len) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                ended => return ended,
            }
        }
        self.try_make_huge(len)
    }

    fn try_make_huge(&self, len: usize) -> io::Result<()> {
        // SAFETY: it changes which pages the bytes lie in, and none of the bytes.
        match unsafe { libc::madvise(self.at, len, libc::MADV_COLLAPSE) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: these pages are this value's own, and a slice of them borrows it. It may fail for want
            // of mappings alone, where one is cut in two: what stays is address space.
            let _kept = unsafe { rustix::mm::munmap(self.at, self.len) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream as Client};

    use super::*;

    /// Bytes that tell where they are.
    fn numbered(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at ^ (at >> 8) ^ (at >> 16)).to_le_bytes()[0]).collect()
    }

    /// None where this system makes no such files; said past the harness's capture, to be counted.
    fn file_of(parts: &[Bytes]) -> Option<MemoryFile> {
        use io::Write;
        let made = MemoryFile::copy_of(parts);
        if let Err(error) = &made {
            let _ = writeln!(io::stderr(), "skipped: no files of memory here: {error}");
        }
        made.ok()
    }

    #[test]
    fn it_holds_the_parts_in_order_and_nobody_can_change_it() {
        for sizes in [
            &[LEAST_BYTES][..],
            &[LEAST_BYTES + 1, 0, 77],
            &[1, HUGE_BYTES - 1],
            &[HUGE_BYTES, HUGE_BYTES / 2],
            &[3 * HUGE_BYTES - 1],
        ] {
            let parts: Vec<_> = sizes.iter().map(|len| Bytes::from(numbered(*len))).collect();
            let Some(file) = file_of(&parts) else { return };
            assert!(file.as_ref() == parts.concat(), "{sizes:?}");
            let len = file.as_ref().len();
            assert!(file.resident_bytes() >= len as u64);
            // At most an eighth of one huge page is for nothing.
            assert!(file_bytes(len) - len <= HUGE_BYTES / 8);
            assert!(rustix::io::pwrite(&file.file, b"x", 0).is_err());
            assert!(rustix::fs::ftruncate(&file.file, 1).is_err());
            assert!(rustix::fs::ftruncate(&file.file, 1 << 30).is_err());
        }
    }

    #[test]
    fn what_gains_nothing_is_refused() {
        let small = MemoryFile::copy_of(&[Bytes::from(numbered(LEAST_BYTES - 1))]);
        assert_eq!(small.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(MemoryFile::copy_of(&[]).is_err());
    }

    #[test]
    fn it_knows_its_own_slices() {
        let Some(file) = file_of(&[Bytes::from(numbered(LEAST_BYTES))]) else { return };
        let bytes = file.as_ref();
        assert_eq!(file.offset_of(bytes), Some(0));
        assert_eq!(file.offset_of(&bytes[5..9]), Some(5));
        assert_eq!(file.offset_of(&bytes[LEAST_BYTES - 1..]), Some(LEAST_BYTES - 1));
        let copy = bytes.to_vec();
        assert_eq!(file.offset_of(&copy), None);
        let other = file_of(&[Bytes::from(numbered(LEAST_BYTES))]).unwrap();
        assert_eq!(file.offset_of(other.as_ref()), None);
        assert_eq!(other.offset_of(bytes), None);
    }

    /// A socket's queue keeps the pages, and nobody else gets them.
    #[tokio::test]
    async fn what_was_sent_arrives_although_the_file_is_gone() {
        let wanted = numbered(LEAST_BYTES);
        let Some(file) = file_of(&[Bytes::from(wanted.clone())]) else { return };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = Client::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        accepted.set_nonblocking(true).unwrap();
        let stream = TcpStream::from(tokio::net::TcpStream::from_std(accepted).unwrap());
        let mut sent = 1_000;
        while let Ok(more) = file.send(&stream, sent, wanted.len() - sent) {
            sent += more;
            if sent == wanted.len() {
                break;
            }
        }
        assert!(sent > 1_000);
        drop(file);
        let others: Vec<_> =
            (0..8).filter_map(|_| file_of(&[Bytes::from(vec![0xee; LEAST_BYTES])])).collect();
        drop(stream);
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        assert!(got == wanted[1_000..sent]);
        drop(others);
    }

    #[test]
    fn address_space_is_given_back() {
        let pages = || {
            let text = std::fs::read_to_string("/proc/self/statm").unwrap();
            text.split(' ').next().unwrap().parse::<usize>().unwrap()
        };
        let (before, bytes) = (pages(), Bytes::from(numbered(LEAST_BYTES)));
        for _ in 0..200 {
            if file_of(std::slice::from_ref(&bytes)).is_none() {
                return;
            }
        }
        // Other tests run beside it.
        let grown_bytes = pages().saturating_sub(before) * PAGE_BYTES;
        assert!(grown_bytes < 100 * HUGE_BYTES, "{grown_bytes}");
    }
}
