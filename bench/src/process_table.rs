//! CPU seconds of a server from the process table: user and system time of a process and of all
//! its descendants, those that have ended included (proc(5), /proc/<pid>/stat).
//!
//! nginx and the like work in children; what a child took is its own until it is waited for, and
//! then stands in its parent's account of children. So the sum over the tree only grows. The kernel
//! counts in ticks, mostly of 10 ms: measure seconds, not milliseconds.

use std::collections::{HashMap, HashSet};
use std::ops::AddAssign;

/// One process as its stat line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Its id.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// Ticks of its threads, and of its children that were waited for.
    pub ticks: Ticks,
}

/// The kernel's steps of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticks {
    /// In the program itself.
    pub user: u64,
    /// In the kernel, for it.
    pub system: u64,
}

impl AddAssign for Ticks {
    fn add_assign(&mut self, more: Self) {
        self.user += more.user;
        self.system += more.system;
    }
}

/// Reads one line; nothing for what is none.
pub fn parse(line: &str) -> Option<Stat> {
    // The name may hold anything, spaces and parentheses included: fields start after the last one.
    let (head, tail) = line.rsplit_once(')')?;
    let pid = head.split_once(' ')?.0.parse().ok()?;
    let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
    // Field 3 (state) is the first here: ppid is 4, utime 14, stime 15, cutime 16, cstime 17.
    let parent = fields.get(1)?.parse().ok()?;
    // Children's times are signed in the kernel.
    let time = |at: usize| u64::try_from(fields.get(at)?.parse::<i64>().ok()?).ok();
    let ticks = Ticks {
        user: time(11)?.checked_add(time(13)?)?,
        system: time(12)?.checked_add(time(14)?)?,
    };
    Some(Stat { pid, parent, ticks })
}

/// Ticks of a process with all below it; nothing if it is not in the table.
pub fn tree_ticks(table: &[Stat], root: u32) -> Option<Ticks> {
    let mut children: HashMap<u32, Vec<&Stat>> = HashMap::new();
    for stat in table {
        children.entry(stat.parent).or_default().push(stat);
    }
    let mut ticks = table.iter().find(|stat| stat.pid == root)?.ticks;
    let (mut seen, mut open) = (HashSet::from([root]), vec![root]);
    while let Some(pid) = open.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            // A table read while it changes may show a circle.
            if seen.insert(child.pid) {
                ticks += child.ticks;
                open.push(child.pid);
            }
        }
    }
    Some(ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(pid: u32, name: &str, parent: u32, times: [u32; 4]) -> String {
        let [utime, stime, cutime, cstime] = times;
        format!(
            "{pid} ({name}) S {parent} 1 1 0 -1 4194560 1 2 3 4 {utime} {stime} {cutime} {cstime} 20 0 1 0 99"
        )
    }

    fn stat((pid, parent, user): (u32, u32, u64)) -> Stat {
        Stat { pid, parent, ticks: Ticks { user, system: 0 } }
    }

    #[test]
    fn a_line_is_read_whatever_the_name() {
        let wanted = Stat { pid: 12, parent: 7, ticks: Ticks { user: 101, system: 1010 } };
        for name in ["nginx", "a b", "a) S 9 (", ""] {
            assert_eq!(parse(&line(12, name, 7, [1, 10, 100, 1000])), Some(wanted), "{name}");
        }
        for bad in ["", "12", "12 (a) S", "x (a) S 1 1 1 1", &line(1, "a", 2, [1; 4])[..30]] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_tree_is_summed_and_nothing_else() {
        let table: Vec<_> =
            [(10, 1, 1), (11, 10, 2), (12, 11, 4), (13, 1, 8), (14, 12, 16)].map(stat).to_vec();
        let cases = [(10, Some(23)), (11, Some(22)), (13, Some(8)), (99, None)];
        for (root, wanted) in cases {
            assert_eq!(tree_ticks(&table, root).map(|ticks| ticks.user), wanted, "{root}");
        }
    }

    /// A child that ends moves its time into its parent's account: the sum stays.
    #[test]
    fn what_a_child_took_is_never_lost() {
        let of = |lines: &[String]| {
            let table: Vec<_> = lines.iter().filter_map(|line| parse(line)).collect();
            tree_ticks(&table, 1)
        };
        let before = of(&[line(1, "m", 0, [1, 1, 0, 0]), line(2, "w", 1, [5, 3, 0, 0])]);
        let after = of(&[line(1, "m", 0, [1, 1, 5, 3])]);
        let wanted = Some(Ticks { user: 6, system: 4 });
        assert_eq!((before, after), (wanted, wanted));
    }

    #[test]
    fn a_circle_ends() {
        let table = [(1, 2, 1), (2, 1, 1)].map(stat);
        assert_eq!(tree_ticks(&table, 1), Some(Ticks { user: 2, system: 0 }));
    }
}
