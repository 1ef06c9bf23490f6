//! A sandbox as Landlock rules. Landlock denies what no rule allows.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::fs::{FileType, Mode, OFlags, fstat};

use super::link_refusal;
use crate::config::Sandbox;
use crate::open_without_links::open_without_links;

/// The rights over files: Linux 6.2 is the first that also denies to truncate a file.
const FILE_RIGHTS: ABI = ABI::V3;
/// The rights over TCP: Linux 6.7.
const NETWORK_RIGHTS: ABI = ABI::V4;

/// Devices that every program may use.
const DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// What programs need to start, besides their own files: other programs, libraries, and public settings of the system.
const SYSTEM: [&str; 25] = [
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/usr",
    "/nix/store",
    "/gnu/store",
    "/proc",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/ssl/certs",
];

/// Checks that the kernel can enforce a sandbox. The error says what is missing.
pub(super) fn check_supported(network: bool) -> Result<(), String> {
    base_ruleset(network).map(|_| ())
}

/// Restricts this thread, and every process that it starts or becomes.
pub(super) fn restrict(sandbox: &Sandbox, program: &OsStr) -> Result<(), String> {
    let mut rules = Rules(base_ruleset(sandbox.network)?);
    let read = AccessFs::from_read(FILE_RIGHTS);
    match &sandbox.read {
        None => rules.allow(Path::new("/"), read)?,
        Some(paths) => {
            for path in SYSTEM.iter().map(Path::new).filter(|path| path.exists()) {
                rules.allow(path, read)?;
            }
            // The file that this process becomes. Its path often leads through links, and nothing else runs with this rule.
            rules.allow(Path::new(program), read)?;
            for path in paths {
                rules.allow_without_links(path, read)?;
            }
        }
    }
    for device in DEVICES.iter().map(Path::new).filter(|path| path.exists()) {
        rules.allow(device, AccessFs::ReadFile | AccessFs::WriteFile)?;
    }
    for path in &sandbox.write {
        rules.allow_without_links(path, AccessFs::from_all(FILE_RIGHTS))?;
    }
    let status = rules.0.restrict_self().map_err(|error| error.to_string())?;
    // Every part was a hard requirement. This states it once more where it counts.
    if status.ruleset == RulesetStatus::NotEnforced || !status.no_new_privs {
        return Err("the kernel does not enforce the rules".to_owned());
    }
    Ok(())
}

/// The rules under construction.
struct Rules(RulesetCreated);

impl Rules {
    /// Allows a path that workers cannot change. Links on it are followed.
    fn allow(&mut self, path: &Path, rights: BitFlags<AccessFs>) -> Result<(), String> {
        let opened = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        self.add(path, opened.map_err(std::io::Error::from), rights)
    }

    /// Allows a path of the profile. An earlier worker may have put a link there, to make this one reach another file.
    fn allow_without_links(&mut self, path: &Path, rights: BitFlags<AccessFs>) -> Result<(), String> {
        let opened = open_without_links(path, OFlags::PATH);
        if opened.is_err()
            && let Some(why) = link_refusal(path)
        {
            return Err(why);
        }
        self.add(path, opened.map_err(std::io::Error::from), rights)
    }

    fn add(
        &mut self,
        path: &Path,
        opened: std::io::Result<OwnedFd>,
        rights: BitFlags<AccessFs>,
    ) -> Result<(), String> {
        let failed = |error: &dyn std::error::Error| format!("{}: {error}", path.display());
        let opened = opened.map_err(|error| failed(&error))?;
        let kind = fstat(&opened).map_err(|error| failed(&error))?.st_mode;
        // Rights over the entries of a folder are no rights over a file.
        let is_folder = FileType::from_raw_mode(kind).is_dir();
        let rights = if is_folder { rights } else { rights & AccessFs::from_file(FILE_RIGHTS) };
        (&mut self.0).add_rule(PathBeneath::new(opened, rights)).map_err(|error| failed(&error))?;
        Ok(())
    }
}

/// A ruleset without rules: it denies everything that it handles.
fn base_ruleset(network: bool) -> Result<RulesetCreated, String> {
    let missing = |what: &str, linux: &str, error: &RulesetError| {
        format!(
            "this kernel cannot {what}: {error}. It needs Linux {linux} or later with Landlock (CONFIG_SECURITY_LANDLOCK, and landlock in the boot parameter lsm=); without it, remove the setting and run the workers in a container"
        )
    };
    let files = |error: RulesetError| missing("restrict files", "6.2", &error);
    let tcp = |error: RulesetError| missing("restrict the network (network = false)", "6.7", &error);
    let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    ruleset = ruleset.handle_access(AccessFs::from_all(FILE_RIGHTS)).map_err(files)?;
    if !network {
        ruleset = ruleset.handle_access(AccessNet::from_all(NETWORK_RIGHTS)).map_err(tcp)?;
    }
    // Linux 6.12 also keeps signals, and abstract unix sockets, within the sandbox.
    ruleset = ruleset.set_compatibility(CompatLevel::BestEffort);
    let scope = if network { Scope::Signal.into() } else { Scope::Signal | Scope::AbstractUnixSocket };
    ruleset = ruleset.scope(scope).map_err(files)?;
    ruleset.set_compatibility(CompatLevel::HardRequirement).create().map_err(files)
}
