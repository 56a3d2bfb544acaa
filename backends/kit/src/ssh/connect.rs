//! From options and an address to a session that is logged in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bakehouse_api::{Communicator, Connector, Cx, Error, Facts, Kind, Result, Value, async_trait};
use russh::client::{Config, Handle, connect_stream};
use russh::keys::{PrivateKey, PublicKey};
use russh::{Limits, SshId};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::algorithms::preferred;
use super::auth::{self, Login};
use super::clear;
use super::dial::{Reached, Way, reach};
use super::hostkeys::{HostKeys, Mismatch};
use super::key::GeneratedKey;
use super::options::SshOptions;
use super::peer::{Line, Peer};
use super::seen::Seen;
use super::session::{SshSession, Wiring};

/// A key exchange, and then a login, take a guest without KVM seconds at worst.
const HANDSHAKE: Duration = Duration::from_secs(20);
const LOGIN: Duration = Duration::from_secs(30);
/// Pauses between logins grow from the first to the last: sshd punishes a source that fails often.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(4);
/// With four unanswered messages the connection is given up.
const KEEP_ALIVES: usize = 3;

/// Which machine to connect to.
#[derive(Clone, Debug)]
pub struct Target {
    pub host: String,
    pub port: u16,
    /// The key pair whose public half the builder put into the guest.
    pub generated_key: Option<GeneratedKey>,
    /// Public keys, in OpenSSH's form, that the seed put into the guest as its host keys. Empty:
    /// the first one seen is trusted for this build.
    pub known_host_keys: Vec<String>,
}

pub struct SshConnector {
    options: SshOptions,
    target: Target,
    keys: Result<HostKeys, String>,
    bastion_keys: HostKeys,
    bastion: Mutex<Option<Arc<Handle<Peer>>>>,
    paused: AtomicBool,
}

/// How one attempt on an answering server failed.
enum Failure {
    Yet(Seen),
    Final(Error),
}

impl SshConnector {
    pub fn new(options: SshOptions, target: Target) -> Self {
        let keys = HostKeys::new(&target.known_host_keys);
        Self {
            options,
            target,
            keys,
            bastion_keys: HostKeys::default(),
            bastion: Mutex::default(),
            paused: AtomicBool::new(false),
        }
    }

    fn place(&self) -> String {
        format!("{}:{}", self.target.host, self.target.port)
    }

    /// The engine calls this as soon as the machine runs; only the first call sleeps.
    async fn pause(&self, cx: &Cx) -> Result<()> {
        let length = self.options.pause_before_connecting;
        if length.is_zero() || self.paused.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        cx.say(format!("Waiting {length:?} before connecting, as `pause_before_connecting` asks"));
        cx.interruptible(async {
            sleep(length).await;
            Ok(())
        })
        .await
    }

    fn login(&self, cx: &Cx) -> Result<Login> {
        let options = &self.options;
        let mut keys = Vec::new();
        if let Some(key) = options.files().read(home(cx))? {
            keys.push(("the key of `ssh_private_key_file`".to_owned(), key));
        }
        if let Some(made) = &self.target.generated_key {
            let key = PrivateKey::from_openssh(made.private_openssh.reveal())
                .map_err(|error| Error::new(Kind::Internal, format!("the key made for this build: {error}")))?;
            keys.push(("the key made for this build".to_owned(), (Arc::new(key), None)));
        }
        Ok(Login {
            user: options.username().unwrap_or_default().to_owned(),
            keys,
            agent: options.ssh_agent_auth.then(|| agent_socket(cx)).transpose()?,
            password: options.password().cloned(),
        })
    }

    fn bastion_login(&self, cx: &Cx) -> Result<Login> {
        let options = &self.options;
        let key = options.bastion_files().read(home(cx))?;
        Ok(Login {
            user: options.bastion_username().unwrap_or_default().to_owned(),
            keys: key.map(|key| ("the bastion's key".to_owned(), key)).into_iter().collect(),
            agent: options.ssh_bastion_agent_auth.then(|| agent_socket(cx)).transpose()?,
            password: options.bastion_password().cloned(),
        })
    }

    fn config(&self, known: &[PublicKey]) -> Arc<Config> {
        let options = &self.options;
        Arc::new(Config {
            client_id: SshId::Standard(concat!("SSH-2.0-bakehouse_", env!("CARGO_PKG_VERSION")).into()),
            limits: Limits::default(),
            preferred: preferred(&options.ssh_ciphers, &options.ssh_key_exchange_algorithms, known),
            inactivity_timeout: options.ssh_read_write_timeout.filter(|length| !length.is_zero()),
            keepalive_interval: Some(options.ssh_keep_alive_interval).filter(|interval| !interval.is_zero()),
            keepalive_max: KEEP_ALIVES,
            nodelay: true,
            ..Config::default()
        })
    }

    async fn way(&self, cx: &Cx) -> Result<Way> {
        let options = &self.options;
        if let Some(proxy) = options.proxy_host() {
            let login = options.proxy_login().map(|(user, password)| (user.to_owned(), password.clone()));
            return Ok(Way::Socks { proxy: (proxy.to_owned(), options.ssh_proxy_port), login });
        }
        match options.bastion_host() {
            Some(host) => Ok(Way::Bastion(self.bastion(cx, host).await?)),
            None => Ok(Way::Direct),
        }
    }

    /// The connection to the bastion; made anew when it was lost.
    async fn bastion(&self, cx: &Cx, host: &str) -> Result<Arc<Handle<Peer>>> {
        let mut current = self.bastion.lock().await;
        if let Some(handle) = current.as_ref().filter(|handle| !handle.is_closed()) {
            return Ok(handle.clone());
        }
        let (port, login) = (self.options.ssh_bastion_port, self.bastion_login(cx)?);
        let place = format!("the bastion {host}:{port}");
        let mut last = Seen::default();
        // The bastion runs already: half a minute covers a hiccup of the network.
        let reached = match timeout(LOGIN, reach(&Way::Direct, host, port, &mut last)).await {
            Ok(reached) => reached?,
            Err(_) => return Err(last.timed_out(&place, LOGIN)),
        };
        let peer = |line| Peer { keys: self.bastion_keys.clone(), line, agent: None, remote_tunnels: Vec::new() };
        match self.enter(reached, &self.bastion_keys, &login, peer).await {
            Ok((handle, _)) => {
                let handle = Arc::new(handle);
                *current = Some(handle.clone());
                Ok(handle)
            }
            Err(Failure::Final(error)) => Err(error.context(format!("connecting to {place}"))),
            Err(Failure::Yet(seen)) => Err(seen.refused(&place)),
        }
    }

    /// Key exchange and login on a connection that has shown its banner.
    async fn enter(
        &self,
        reached: Reached,
        keys: &HostKeys,
        login: &Login,
        peer: impl FnOnce(Arc<Line>) -> Peer,
    ) -> Result<(Handle<Peer>, Arc<Line>), Failure> {
        let Reached { stream, banner } = reached;
        let line = Arc::new(Line::default());
        let connecting = connect_stream(self.config(&keys.expected()), stream, peer(line.clone()));
        let mut handle = match timeout(HANDSHAKE, connecting).await {
            Ok(Ok(handle)) => handle,
            Ok(Err(error)) => return Err(handshake_failure(banner, &line, error)),
            Err(_) => {
                let reason = format!("no answer within {HANDSHAKE:?}");
                return Err(Failure::Yet(Seen::Handshake { banner, reason }));
            }
        };
        match timeout(LOGIN, auth::log_in(&mut handle, login)).await {
            Ok(Ok(())) => {}
            Ok(Err(denied)) => return Err(Failure::Yet(Seen::Denied { banner, user: login.user.clone(), denied })),
            Err(_) => {
                let reason = format!("no answer to the login within {LOGIN:?}");
                return Err(Failure::Yet(Seen::Handshake { banner, reason }));
            }
        }
        if let Some(Ok(key)) = line.verdict() {
            keys.trust(key);
        }
        Ok((handle, line))
    }

    async fn attempts(&self, cx: &Cx, keys: &HostKeys, login: &Login, last: &mut Seen) -> Result<SshSession> {
        let options = &self.options;
        let agent = agent_socket(cx).ok().filter(|_| !options.ssh_disable_agent_forwarding);
        let remote_tunnels = SshOptions::tunnels(&options.ssh_remote_tunnels);
        let mut pause = FIRST_PAUSE;
        let mut failures = 0;
        loop {
            let way = self.way(cx).await?;
            let reached = reach(&way, &self.target.host, self.target.port, last).await?;
            let peer =
                |line| Peer { keys: keys.clone(), line, agent: agent.clone(), remote_tunnels: remote_tunnels.clone() };
            match self.enter(reached, keys, login, peer).await {
                Ok((handle, line)) => {
                    let wiring = Wiring {
                        handle,
                        line,
                        forward_agent: agent.is_some(),
                        pty: options.ssh_pty,
                        method: options.ssh_file_transfer_method,
                    };
                    return SshSession::open(wiring, &remote_tunnels, SshOptions::tunnels(&options.ssh_local_tunnels))
                        .await;
                }
                Err(Failure::Final(error)) => return Err(error.context(format!("connecting to {}", self.place()))),
                Err(Failure::Yet(seen)) => *last = seen,
            }
            failures += 1;
            if options.attempts().is_some_and(|attempts| failures >= attempts) {
                return Err(last.gave_up(&self.place(), failures));
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }
}

fn handshake_failure(banner: String, line: &Line, error: russh::Error) -> Failure {
    match (line.verdict(), error) {
        // cloud-init may still be about to replace the keys the image came with.
        (Some(Err(mismatch @ Mismatch::NotTheSeeded { .. })), _) => {
            Failure::Yet(Seen::HostKey { banner, reason: mismatch.to_string() })
        }
        (Some(Err(mismatch)), _) => Failure::Final(Error::new(Kind::Guest, mismatch).hint(
            "another machine answers at this address, or a script replaced the guest's host keys: let it do so only at \
             the end of the build",
        )),
        (_, russh::Error::NoCommonAlgo { kind, ours, theirs }) => Failure::Final(
            Error::new(
                Kind::Guest,
                format!("{banner:?} and we share no algorithm ({kind:?}): it offers {}", theirs.join(", ")),
            )
            .hint(format!(
                "ours were {}; `ssh_ciphers` and `ssh_key_exchange_algorithms` choose others",
                ours.join(", ")
            )),
        ),
        (_, error) => Failure::Yet(Seen::Handshake { banner, reason: error.to_string() }),
    }
}

fn home(cx: &Cx) -> Option<&str> {
    cx.settings().env.get("HOME").map(String::as_str)
}

fn agent_socket(cx: &Cx) -> Result<std::path::PathBuf> {
    match cx.settings().env.get("SSH_AUTH_SOCK").filter(|socket| !socket.is_empty()) {
        Some(socket) => Ok(socket.into()),
        None => {
            Err(Error::new(Kind::Missing, "`ssh_agent_auth` is set, and there is no ssh-agent: SSH_AUTH_SOCK is empty")
                .hint("start one with `eval $(ssh-agent)` and give it a key with `ssh-add`"))
        }
    }
}

#[async_trait]
impl Connector for SshConnector {
    fn kind(&self) -> &'static str {
        "ssh"
    }

    fn facts(&self) -> Facts {
        let options = &self.options;
        let mut facts = Facts::from([
            ("Host".to_owned(), Value::from(self.target.host.as_str())),
            ("Port".to_owned(), Value::from(i64::from(self.target.port))),
            ("User".to_owned(), Value::from(options.username().unwrap_or_default())),
            ("ConnType".to_owned(), Value::from("ssh")),
        ]);
        let password = options.password().map_or("", |password| password.reveal());
        facts.insert("Password".to_owned(), Value::from(password).sensitive(true));
        let (public, private) = match &self.target.generated_key {
            Some(made) => (made.public_openssh.clone(), made.private_openssh.reveal().to_owned()),
            None => options.key_texts().unwrap_or_default(),
        };
        facts.insert("SSHPublicKey".to_owned(), Value::from(public));
        facts.insert("SSHPrivateKey".to_owned(), Value::from(private).sensitive(true));
        facts
    }

    fn host_keys(&self) -> Vec<String> {
        let keys = self.keys.as_ref().map(HostKeys::expected).unwrap_or_default();
        keys.iter().filter_map(|key| key.to_openssh().ok()).collect()
    }

    async fn connect(&self, cx: &Cx) -> Result<Arc<dyn Communicator>> {
        self.pause(cx).await?;
        let keys =
            self.keys.clone().map_err(|reason| Error::new(Kind::Internal, format!("a known host key: {reason}")))?;
        let login = self.login(cx)?;
        let length = self.options.timeout();
        let deadline = Instant::now() + length;
        let mut last = Seen::default();
        let work = timeout_at(deadline, self.attempts(cx, &keys, &login, &mut last));
        let outcome = cx.interruptible(async { Ok(work.await) }).await?;
        match outcome {
            Ok(session) => Ok(Arc::new(session?)),
            Err(_) => Err(last.timed_out(&self.place(), length)),
        }
    }

    async fn finish(&self, cx: &Cx, comm: &dyn Communicator) -> Result<()> {
        match &self.target.generated_key {
            Some(key) if self.options.ssh_clear_authorized_keys => Ok(clear::clear(cx, comm, key).await?),
            _ => Ok(()),
        }
    }
}
