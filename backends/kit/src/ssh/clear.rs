//! `ssh_clear_authorized_keys`: this build's own key leaves the guest.

use bakehouse_api::{CommError, Command, Communicator, Cx};

use super::key::GeneratedKey;
use super::session::quote;

/// `tee` keeps owner and mode of the file. A file that cannot be read stays as it is.
const SCRIPT: &str = r#"
for file in "$HOME/.ssh/authorized_keys" /root/.ssh/authorized_keys; do
    as=; [ -w "$file" ] || as='sudo -n'
    $as test -f "$file" 2>/dev/null || continue
    all=$($as cat "$file") || exit
    case $all in *"$key"*) ;; *) continue ;; esac
    kept=$(printf '%s\n' "$all" | grep -vF "$key")
    { [ -z "$kept" ] || printf '%s\n' "$kept"; } | $as tee "$file" >/dev/null || exit
done
"#;

/// Removes the key from the files of the login user and, where sudo allows it, of root. Only a
/// warning when that fails: nobody has the private half once the build is over.
pub async fn clear(cx: &Cx, comm: &dyn Communicator, key: &GeneratedKey) -> Result<(), CommError> {
    let Some(blob) = key.public_openssh.split(' ').nth(1) else { return Ok(()) };
    let line = Command::new(format!("sh -c {}", quote(&format!("key={blob}{SCRIPT}"))));
    let mut said = Vec::new();
    let exit = comm.run(cx, &line, &mut |_, bytes| said.extend_from_slice(bytes)).await?;
    if !exit.success() {
        let said = String::from_utf8_lossy(&said);
        cx.warn(format!("the build's key may still be in the guest's authorized_keys: {}", said.trim()));
    }
    Ok(())
}
