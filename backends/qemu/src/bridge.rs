//! A guest on a bridge has an address that only it and the network know.

use std::sync::Arc;
use std::time::Duration;

use bakehouse_api::{Communicator, Connector, Cx, Facts, Result, async_trait};
use bakehouse_kit::ssh::SshConnector;
use qapi_qga::GuestIpAddressType;
use tokio::sync::{Mutex, OnceCell};

use crate::agent::Agent;
use crate::net::neighbour;
use crate::vm::Status;

const DEADLINE: Duration = Duration::from_secs(1800);
const POLL: Duration = Duration::from_millis(250);

type Connect = Box<dyn Fn(String) -> SshConnector + Send + Sync>;

/// Finds the address when it is first needed, and connects there.
pub struct OnBridge {
    mac: String,
    agent: Option<Arc<Mutex<Agent>>>,
    status: Status,
    connect: Connect,
    found: OnceCell<SshConnector>,
}

impl OnBridge {
    pub fn new(mac: String, agent: Option<Arc<Mutex<Agent>>>, status: Status, connect: Connect) -> Self {
        Self { mac, agent, status, connect, found: OnceCell::new() }
    }

    async fn find(&self, cx: &Cx) -> Result<SshConnector> {
        let what = format!("an address of the guest's network card {}", self.mac);
        let address = cx.wait_for(&what, DEADLINE, POLL, || async { Ok(self.look().await) }).await;
        let address = address.map_err(|error| {
            error.hint("the guest agent tells it, or set `ssh_host`; does the bridge lead to a DHCP server?")
        })?;
        cx.message(format!("The guest has the address {address}"));
        Ok((self.connect)(address))
    }

    async fn look(&self) -> Option<String> {
        if let Some(address) = self.ask_agent().await {
            return Some(address);
        }
        let table = std::fs::read_to_string("/proc/net/arp").ok()?;
        neighbour(&table, &self.mac).map(|address| address.to_string())
    }

    async fn ask_agent(&self) -> Option<String> {
        let agent = self.agent.as_ref().filter(|_| self.status.agent_open())?;
        let cards = agent.lock().await.execute(qapi_qga::guest_network_get_interfaces {}).await.ok()?;
        let ours = |mac: &Option<String>| mac.as_ref().is_some_and(|mac| mac.eq_ignore_ascii_case(&self.mac));
        let card = cards.into_iter().find(|card| ours(&card.hardware_address))?;
        let addresses = card.ip_addresses.unwrap_or_default();
        let plain = addresses.into_iter().find(|address| address.ip_address_type == GuestIpAddressType::ipv4)?;
        Some(plain.ip_address)
    }
}

#[async_trait]
impl Connector for OnBridge {
    fn kind(&self) -> &'static str {
        "ssh"
    }

    fn facts(&self) -> Facts {
        self.found.get().map(SshConnector::facts).unwrap_or_default()
    }

    fn host_keys(&self) -> Vec<String> {
        self.found.get().map(SshConnector::host_keys).unwrap_or_default()
    }

    async fn connect(&self, cx: &Cx) -> Result<Arc<dyn Communicator>> {
        self.found.get_or_try_init(|| self.find(cx)).await?.connect(cx).await
    }

    async fn finish(&self, cx: &Cx, comm: &dyn Communicator) -> Result<()> {
        match self.found.get() {
            Some(found) => found.finish(cx, comm).await,
            None => Ok(()),
        }
    }
}
