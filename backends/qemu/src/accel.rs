//! Which accelerator truly works. `/dev/kvm` can be there and still not run an ordinary guest: on a
//! nested host without VMX or SVM the guest hangs once it leaves the BIOS.

use std::path::Path;
use std::time::Duration;

use bakehouse_api::{Cx, Error, Kind, Result};
use bakehouse_kit::digest;
use bakehouse_kit::process::Program;

use crate::options::Accelerator;

/// A guest's first steps under KVM take a fraction of this.
const PROBE_DEADLINE: Duration = Duration::from_secs(2);

/// What runs the guest's instructions, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub accelerator: Accelerator,
    /// For people; none when the template chose.
    pub why: Option<String>,
}

/// What this machine says of KVM without trying it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looks {
    Good,
    /// Virtual itself: only trying tells.
    Nested,
    Bad(String),
}

pub async fn choose(cx: &Cx, binary: &str, wanted: Option<Accelerator>) -> Result<Choice> {
    let known = listed(cx, binary).await?;
    let has = |accelerator: Accelerator| known.iter().any(|name| name == accelerator.as_str());
    if let Some(accelerator) = wanted {
        if accelerator != Accelerator::None && !has(accelerator) {
            let error = format!("`{binary}` has no accelerator `{}`", accelerator.as_str());
            return Err(Error::new(Kind::Missing, error).hint(format!("it has {}", known.join(", "))));
        }
        return Ok(Choice { accelerator, why: None });
    }
    let tcg = |why: String| Choice { accelerator: Accelerator::Tcg, why: Some(why) };
    let kvm = |why: &str| Choice { accelerator: Accelerator::Kvm, why: Some(why.into()) };
    if !binary.ends_with(std::env::consts::ARCH) {
        return Ok(tcg(format!("`{binary}` emulates another processor than this machine's")));
    }
    if !has(Accelerator::Kvm) {
        let native = [Accelerator::Hvf, Accelerator::Whpx].into_iter().find(|native| has(*native));
        return Ok(match native {
            Some(accelerator) => Choice { accelerator, why: Some("this machine's own hypervisor".into()) },
            None => tcg(format!("`{binary}` is built without KVM")),
        });
    }
    Ok(match looks() {
        Looks::Bad(why) => tcg(why),
        Looks::Good => kvm("this machine's processor virtualises"),
        Looks::Nested if probe(cx, binary, "kvm").await? => kvm("a 64-bit probe ran in it"),
        Looks::Nested => tcg(format!("a 64-bit probe did not run under KVM within {PROBE_DEADLINE:?}")),
    })
}

/// The accelerators the binary was built with.
async fn listed(cx: &Cx, binary: &str) -> Result<Vec<String>> {
    let finished = Program::new(binary).args(["-accel", "help"]).deadline(Duration::from_secs(10)).check(cx).await?;
    let text = String::from_utf8_lossy(&finished.stdout).into_owned();
    Ok(text.lines().skip(1).map(|line| line.trim().to_owned()).filter(|name| !name.is_empty()).collect())
}

/// "10.0.2 (Debian 1:10.0.2+ds-2)"
pub async fn version(cx: &Cx, binary: &str) -> Result<String> {
    let finished = Program::new(binary).arg("--version").deadline(Duration::from_secs(10)).check(cx).await?;
    let text = String::from_utf8_lossy(&finished.stdout).into_owned();
    let first = text.lines().next().unwrap_or_default();
    Ok(first.split_once("version ").map_or(first, |(_, version)| version).trim().to_owned())
}

/// This machine's processor, where the guest sees it.
pub fn processor(accelerator: Accelerator) -> Option<String> {
    if accelerator == Accelerator::Tcg {
        return None;
    }
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let mut hasher = digest::Hasher::new(digest::Algorithm::Sha256);
    hasher.update(line("flags").or_else(|| line("Features")).unwrap_or_default().as_bytes());
    let flags = hasher.finish().hex;
    Some(format!("{} with features {}", line("model name").unwrap_or_else(|| "unnamed".into()), &flags[..8]))
}

fn looks() -> Looks {
    let opened = std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm");
    if let Err(error) = opened {
        return Looks::Bad(match error.kind() {
            std::io::ErrorKind::NotFound => "/dev/kvm is not there".into(),
            std::io::ErrorKind::PermissionDenied => {
                "/dev/kvm may not be opened; is your user in the group `kvm`?".into()
            }
            _ => format!("/dev/kvm cannot be opened: {error}"),
        });
    }
    let vendor = ["kvm_intel", "kvm_amd"].iter().any(|module| Path::new("/sys/module").join(module).is_dir());
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    judge(std::env::consts::ARCH, vendor, &cpuinfo)
}

fn judge(architecture: &str, vendor: bool, cpuinfo: &str) -> Looks {
    if architecture != "x86_64" {
        return Looks::Good;
    }
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let has = |flag: &str| flags.split_whitespace().any(|known| known == flag);
    if !vendor {
        return Looks::Bad("/dev/kvm is there, but neither kvm_intel nor kvm_amd stands behind it".into());
    }
    if !has("vmx") && !has("svm") {
        return Looks::Bad("/dev/kvm is there, but the processor offers neither VMX nor SVM".into());
    }
    if has("hypervisor") { Looks::Nested } else { Looks::Good }
}

/// The probe's way out: a value `v` written to this port ends QEMU with status `2v + 1`.
const EXIT_PORT: &str = "isa-debug-exit,iobase=0xf4,iosize=1";
const ALIVE: i32 = 0x21 * 2 + 1;

/// Does a guest that enters 64-bit mode get through to its end?
async fn probe(cx: &Cx, binary: &str, accel: &str) -> Result<bool> {
    let disk = cx.temp().join("probe.img");
    std::fs::write(&disk, boot_sector()).map_err(|error| Error::io("writing the KVM probe", &error))?;
    let drive = format!("if=floppy,format=raw,readonly=on,file={}", crate::argv::escaped_path(&disk));
    let machine = ["-accel", accel, "-m", "16", "-nodefaults", "-display", "none", "-device", EXIT_PORT, "-drive"];
    let program = Program::new(binary).args(machine).arg(drive).deadline(PROBE_DEADLINE);
    match program.run(cx).await {
        Ok(finished) => Ok(finished.exit.code == Some(ALIVE)),
        Err(error @ bakehouse_kit::process::ProcessError::Interrupted) => Err(error.into()),
        Err(_) => Ok(false),
    }
}

/// Machine code for a BIOS: maps 2 MiB, enters long mode, and leaves through the exit port with a
/// value that only 64-bit registers yield.
#[rustfmt::skip]
const CODE: [u8; 144] = [
    0xfa,                                           // cli
    0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0xfc,       // ds = es = 0; cld
    0xbf, 0x00, 0x10, 0xb9, 0x00, 0x18, 0xf3, 0xab, // clear 0x1000..0x4000
    0xc7, 0x06, 0x00, 0x10, 0x03, 0x20,             // PML4[0] = 0x2003
    0xc7, 0x06, 0x00, 0x20, 0x03, 0x30,             // PDPT[0] = 0x3003
    0xc7, 0x06, 0x00, 0x30, 0x83, 0x00,             // PD[0] = a 2 MiB page at 0
    0x66, 0xb8, 0x00, 0x10, 0x00, 0x00,             // mov eax, 0x1000
    0x0f, 0x22, 0xd8,                               // mov cr3, eax
    0x66, 0xb8, 0x20, 0x00, 0x00, 0x00,             // mov eax, PAE
    0x0f, 0x22, 0xe0,                               // mov cr4, eax
    0x66, 0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32, // rdmsr EFER
    0x66, 0x0f, 0xba, 0xe8, 0x08, 0x0f, 0x30,       // bts eax, LME; wrmsr
    0x0f, 0x20, 0xc0,                               // mov eax, cr0
    0x66, 0x0d, 0x01, 0x00, 0x00, 0x80,             // or eax, PG | PE
    0x66, 0x0f, 0x01, 0x16, 0x88, 0x7c,             // lgdt [0x7c88]
    0x0f, 0x22, 0xc0,                               // mov cr0, eax
    0xea, 0x5a, 0x7c, 0x08, 0x00,                   // jmp 8:0x7c5a
    0x48, 0xb8, 0xf0, 0xde, 0xbc, 0x9a, 0x78, 0x56, 0x34, 0x12, // mov rax, 0x123456789abcdef0
    0x48, 0xc1, 0xe8, 0x3c,                         // shr rax, 60
    0x04, 0x20,                                     // add al, 0x20
    0x66, 0xba, 0xf4, 0x00,                         // mov dx, 0xf4
    0xee, 0xf4, 0xeb, 0xfd,                         // out dx, al; hlt forever
    0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00,             // padding
    0, 0, 0, 0, 0, 0, 0, 0,                         // 0x7c78: the empty segment
    0x00, 0x00, 0x00, 0x00, 0x00, 0x9a, 0x20, 0x00, // 0x7c80: 64-bit code
    0x0f, 0x00, 0x78, 0x7c, 0x00, 0x00,             // 0x7c88: the table's limit and place
    0, 0,
];

fn boot_sector() -> [u8; 512] {
    let mut sector = [0; 512];
    sector[..CODE.len()].copy_from_slice(&CODE);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

#[cfg(test)]
mod tests {
    use bakehouse_api::testing;

    use super::*;

    #[test]
    fn a_kvm_without_vendor_module_or_processor_flags_looks_bad() {
        let plain = "processor : 0\nflags\t\t: fpu lm hypervisor\n";
        assert!(matches!(judge("x86_64", false, plain), Looks::Bad(_)));
        assert!(matches!(judge("x86_64", true, plain), Looks::Bad(_)));
        assert_eq!(judge("x86_64", true, "flags : fpu svm lm hypervisor"), Looks::Nested);
        assert_eq!(judge("x86_64", true, "flags : fpu vmx lm"), Looks::Good);
    }

    #[tokio::test]
    async fn the_probe_gets_through_where_64_bit_guests_run() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, _) = testing::cx(dir.path(), bakehouse_kit::undo::undoers());
        assert!(probe(&cx, "qemu-system-x86_64", "tcg").await.unwrap());
    }

    #[tokio::test]
    async fn the_choice_is_made_in_under_three_seconds_and_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, recorder) = testing::cx(dir.path(), bakehouse_kit::undo::undoers());
        let began = std::time::Instant::now();
        let choice = choose(&cx, "qemu-system-x86_64", None).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(3));
        assert!(choice.why.is_some());
        assert!(recorder.held().is_empty());
    }

    #[tokio::test]
    async fn an_accelerator_that_the_binary_lacks_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, _) = testing::cx(dir.path(), bakehouse_kit::undo::undoers());
        let error = choose(&cx, "qemu-system-x86_64", Some(Accelerator::Hvf)).await.unwrap_err();
        assert_eq!(error.to_string(), "`qemu-system-x86_64` has no accelerator `hvf`");
    }
}
