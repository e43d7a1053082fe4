//! The default name of a worker: the host name and the process id.

/// Most characters of a name.
const NAME_MAX: usize = 128;

/// `render-3-4711`.
pub(super) fn of_this_process() -> String {
    let system = rustix::system::uname();
    of(&system.nodename().to_string_lossy(), std::process::id())
}

fn of(machine: &str, process_id: u32) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let machine = if machine.is_empty() { "worker" } else { machine };
    let id = process_id.to_string();
    let machine: String = machine.chars().map(|c| if is_allowed(c) { c } else { '-' }).collect();
    format!("{}-{id}", &machine[..machine.len().min(NAME_MAX - 1 - id.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_valid_whatever_the_machine_is_called() {
        assert_eq!(of("render-3.lan", 4711), "render-3.lan-4711");
        assert_eq!(of("B\u{fc}ro PC", 1), "B-ro-PC-1");
        assert_eq!(of("", 7), "worker-7");
        assert_eq!(of(&"x".repeat(300), 4711).len(), NAME_MAX);
    }
}
