use std::sync::atomic::Ordering;

use bakehouse_api::{Kind, Value, testing};
use bakehouse_kit::undo;

use super::super::fake::{Fake, Trouble};
use super::*;
use crate::script::testing::{body, findings, list, map};

struct Ran {
    ended: Result<()>,
    lines: Vec<String>,
    fake: Fake,
    _dir: tempfile::TempDir,
}

impl Ran {
    fn commands(&self) -> Vec<String> {
        self.fake.state.commands.lock().unwrap().clone()
    }
}

async fn run_with(entries: &[(&str, Value)], trouble: &[Trouble]) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let (cx, recorder) = testing::cx(dir.path(), undo::undoers());
    let fake = Fake::new(&dir.path().join("guest"));
    fake.trouble(trouble);
    let mut entries = entries.to_vec();
    entries.push(("remote_folder", fake.tmp().into()));
    let mut diagnostics = Diagnostics::default();
    let shell = prepare(&body("shell", &entries), &mut diagnostics);
    let shell = shell.unwrap_or_else(|| panic!("{:?}", findings(&diagnostics)));
    let ended = shell.run(&cx, &fake.guest()).await;
    Ran { ended, lines: recorder.lines(), fake, _dir: dir }
}

async fn run(entries: &[(&str, Value)]) -> Ran {
    run_with(entries, &[]).await
}

const NASTY: &str = "it's \"quoted\" $HOME `id` \\ end\nsecond line; rm -rf %s";

#[tokio::test]
async fn variables_reach_the_script_whole_on_the_command_line_and_from_a_file() {
    for file in [false, true] {
        let ran = run(&[
            ("environment_vars", list(&["A=lost", "B=2=3", "EMPTY="])),
            ("env", map(&[("A", NASTY)])),
            ("use_env_var_file", file.into()),
            (
                "inline",
                list(&["printf '%s|' \"$A\" $B \"$EMPTY\" $PACKER_BUILD_NAME $PACKER_BUILDER_TYPE $PACKER_HTTP_ADDR"]),
            ),
        ])
        .await;
        ran.ended.as_ref().unwrap();
        assert_eq!(ran.lines[1..].join("\n"), format!("{NASTY}|2=3||debian|qemu|10.0.2.2:8001|"));
        assert_eq!(ran.fake.leftovers(), 0);
    }
}

#[tokio::test]
async fn the_command_line_is_packers() {
    let ran =
        run(&[("remote_file", "x.sh".into()), ("inline", list(&["true"])), ("env_var_format", "%s=%s ".into())]).await;
    let tmp = ran.fake.tmp();
    let vars = "PACKER_BUILDER_TYPE=qemu PACKER_BUILD_NAME=debian PACKER_HTTP_ADDR=10.0.2.2:8001 \
                PACKER_HTTP_IP=10.0.2.2 PACKER_HTTP_PORT=8001 ";
    assert_eq!(ran.commands(), [format!("chmod +x {tmp}/x.sh; {vars} {tmp}/x.sh"), format!("rm -f {tmp}/x.sh")]);
}

#[tokio::test]
async fn a_command_line_of_ones_own() {
    let ran = run(&[
        ("execute_command", "{{ .Vars }} sh -x {{ .Path }} 2>&1".into()),
        ("inline", list(&["echo one", "echo two"])),
    ])
    .await;
    ran.ended.as_ref().unwrap();
    assert_eq!(ran.lines[1..], ["+ echo one", "one", "+ echo two", "two"]);
}

#[tokio::test]
async fn several_scripts_run_in_order_and_windows_line_ends_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let script = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (one, two) = (script("one.sh", "#!/bin/sh\r\necho one\r\n"), script("two.sh", "printf 'two\\r\\n'\n"));
    let ran = run(&[("scripts", list(&[&one, &two]))]).await;
    ran.ended.as_ref().unwrap();
    assert_eq!(ran.lines, [format!("Running {one}"), "one".into(), format!("Running {two}"), "two".into()]);
    let ran = run(&[("script", one.into()), ("binary", true.into())]).await;
    assert!(ran.ended.unwrap_err().to_string().contains("exited with code 127"));
}

#[tokio::test]
async fn files_stay_only_when_asked_to() {
    let ran = run(&[("inline", list(&["true"])), ("skip_clean", true.into()), ("use_env_var_file", true.into())]).await;
    assert_eq!(ran.fake.leftovers(), 2);
    let ran = run(&[("inline", list(&["exit 3"]))]).await;
    assert_eq!(ran.fake.leftovers(), 0);
    let ran = run(&[("inline", list(&["rm $0"]))]).await;
    ran.ended.unwrap();
}

#[tokio::test]
async fn a_failure_shows_code_script_and_last_lines() {
    let ran = run(&[("inline", list(&["for i in 1 2 3; do echo step $i; done", "echo broken >&2", "exit 3"]))]).await;
    let error = ran.ended.unwrap_err();
    assert_eq!(error.kind(), Kind::Script);
    insta::assert_snapshot!(error, @r"
    the inline script exited with code 3; its last lines were:
      step 1
      step 2
      step 3
      broken
    ");
    let ran = run(&[("inline", list(&["exit 3"])), ("valid_exit_codes", list(&["3"]))]).await;
    ran.ended.unwrap();
    let ran = run(&[("inline", list(&["true"])), ("valid_exit_codes", list(&["3"]))]).await;
    assert!(ran.ended.is_err());
}

#[tokio::test]
async fn a_folder_that_is_missing_in_the_guest_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (cx, _) = testing::cx(dir.path(), undo::undoers());
    let fake = Fake::new(&dir.path().join("guest"));
    let entries = [("inline", list(&["true"])), ("remote_path", "/no/such/x.sh".into())];
    let shell = prepare(&body("shell", &entries), &mut Diagnostics::default()).unwrap();
    let error = shell.run(&cx, &fake.guest()).await.unwrap_err();
    insta::assert_snapshot!(error, @"uploading the inline script to /no/such/x.sh: /no/such/x.sh: Failure");
    assert_eq!(error.hints().len(), 1);
}

#[tokio::test]
async fn what_is_lost_before_the_script_starts_is_done_again() {
    for trouble in [Trouble::LoseUpload, Trouble::NotStarted, Trouble::Stopping] {
        let ran = run_with(&[("inline", list(&["echo ran"]))], std::slice::from_ref(&trouble)).await;
        ran.ended.as_ref().unwrap();
        assert_eq!(ran.lines.iter().filter(|line| *line == "ran").count(), 1, "{trouble:?}");
        assert_eq!(ran.fake.leftovers(), 0);
    }
}

#[tokio::test]
async fn a_lost_connection_is_an_error_unless_it_is_expected() {
    let entries = [("inline", list(&["echo rebooting"]))];
    let ran = run_with(&entries, &[Trouble::LoseRun]).await;
    let error = ran.ended.unwrap_err();
    insta::assert_snapshot!(error, @r"
    running the inline script: the connection to the guest was lost: connection reset; its last lines were:
      rebooting
    ");
    assert_eq!(error.kind(), Kind::Guest);
    assert_eq!(error.hints().len(), 1);

    let expecting = [entries[0].clone(), ("expect_disconnect", true.into())];
    let ran = run_with(&expecting, &[Trouble::LoseRun]).await;
    ran.ended.as_ref().unwrap();
    assert_eq!(ran.fake.leftovers(), 0);
    assert_eq!(ran.fake.state.connections.load(Ordering::SeqCst), 2);
    assert_eq!(ran.lines.last().unwrap(), "the guest has rebooted and answers again");
    assert_eq!(ran.lines.iter().filter(|line| *line == "rebooting").count(), 1, "it must not run twice");
}

#[tokio::test]
async fn a_script_that_was_killed_by_the_shutdown_is_expected_too() {
    let entries = [("execute_command", "kill -TERM $$ # {{.Path}}".into()), ("inline", list(&["true"]))];
    assert!(run(&entries).await.ended.unwrap_err().to_string().contains("was ended by SIGTERM"));
    let expecting = [entries[0].clone(), entries[1].clone(), ("expect_disconnect", true.into())];
    let ran = run(&expecting).await;
    ran.ended.unwrap();
    assert_eq!(ran.lines.last().unwrap(), "the guest answers again");
}

#[tokio::test]
async fn a_guest_that_powers_off_is_not_awaited_when_nothing_is_left_to_clean() {
    let entries = [("inline", list(&["true"])), ("expect_disconnect", true.into()), ("skip_clean", true.into())];
    let ran = run_with(&entries, &[Trouble::LoseRun]).await;
    ran.ended.unwrap();
    assert_eq!(ran.fake.state.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_guest_that_never_comes_back_is_a_timeout() {
    let trouble = vec![Trouble::Stopping; 50];
    let ran = run_with(&[("inline", list(&["true"])), ("start_retry_timeout", "600ms".into())], &trouble).await;
    let error = ran.ended.unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (Kind::Timeout, "the guest did not come back in time".into()));
}

#[tokio::test]
async fn pause_after_holds_and_an_interrupt_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let (cx, _) = testing::cx(dir.path(), undo::undoers());
    let fake = Fake::new(&dir.path().join("guest"));
    let entries = [("inline", list(&["true"])), ("remote_folder", fake.tmp().into()), ("pause_after", "1h".into())];
    let shell = prepare(&body("shell", &entries), &mut Diagnostics::default()).unwrap();
    let cancel = cx.cancel().clone();
    let guest = fake.guest();
    let (ended, ()) = tokio::join!(shell.run(&cx, &guest), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        cancel.cancel();
    });
    assert_eq!(ended.unwrap_err().kind(), Kind::Interrupted);
    assert_eq!(fake.leftovers(), 0, "the script itself was over");
}

#[test]
fn mistakes_are_found_without_a_guest() {
    let mut diagnostics = Diagnostics::default();
    let entries = [
        ("inline", list(&[])),
        ("env_var_format", "export %s\n".into()),
        ("execute_command", "{{ .Pth }}".into()),
        ("remote_file", "a".into()),
        ("remote_path", "/b".into()),
        ("scirpt", "c".into()),
    ];
    assert!(prepare(&body("shell", &entries[..5]), &mut diagnostics).is_none());
    assert!(prepare(&body("shell", &entries[5..]), &mut diagnostics).is_none());
    assert!(prepare(&body("shell", &[]), &mut diagnostics).is_none());
    insta::assert_snapshot!(findings(&diagnostics).join("\n"), @r"
    `inline` has no commands
    `env_var_format` must name the variable and its value, as in `%s='%s' `
    rendering `{{ .Pth }}`: there is no field `.Pth`
    `remote_file` has no effect beside `remote_path` (`remote_path` is the whole path; `remote_file` a name in `remote_folder`)
    shell `shell` has no option `scirpt` (did you mean `script`?)
    shell needs one of `inline`, `script`, `scripts`
    ");
}

#[test]
fn what_only_the_machine_knows_is_not_checked() {
    let unknown = Value::unknown(bakehouse_api::Type::String);
    for name in ["script", "inline", "scripts"] {
        let mut diagnostics = Diagnostics::default();
        let entries = [(name, unknown.clone()), ("environment_vars", Value::tuple(vec![unknown.clone()]))];
        prepare(&body("shell", &entries), &mut diagnostics);
        assert_eq!(findings(&diagnostics), Vec::<String>::new());
    }
}

#[test]
fn the_key_follows_the_script_and_the_variables_but_not_the_timeouts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.sh");
    let inputs = |text: &str, more: (&'static str, Value)| {
        std::fs::write(&path, text).unwrap();
        let entries = [("script", path.to_str().unwrap().into()), more];
        prepare(&body("shell", &entries), &mut Diagnostics::default()).unwrap().inputs()
    };
    let base = inputs("one", ("pause_after", "1s".into()));
    assert_eq!(base, inputs("one", ("start_retry_timeout", "9m".into())));
    assert_ne!(base, inputs("two", ("pause_after", "1s".into())));
    let secret = inputs("one", ("environment_vars", list(&["TOKEN=hunter2"])));
    assert_ne!(base, secret);
    assert!(!format!("{secret:?}").contains("hunter2"));
}
