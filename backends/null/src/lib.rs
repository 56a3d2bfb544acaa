//! `null`: a machine that is there already and stays as it is told to; only the provisioners run.

#![forbid(unsafe_code)]

use std::sync::Arc;

use bakehouse_api::{
    Artifact, Backend, Body, Builder, Connector, Cx, Diagnostic, Diagnostics, Facts, Input, Machine, Options, Origin,
    Result, Schema, Value, async_trait, options,
};
use bakehouse_kit::communicator::{CommKind, CommOptions};
use bakehouse_kit::ssh::{SshConnector, Target};

options! {
    /// Provisions a machine that exists already, or none at all with `communicator = "none"`.
    pub struct NullOptions {}
    flatten { comm: CommOptions }
}

pub struct NullBackend;

impl Backend for NullBackend {
    fn kind(&self) -> &'static str {
        "null"
    }

    fn schema(&self) -> Schema {
        NullOptions::schema("null")
    }

    fn prepare(&self, body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn Builder>> {
        let options = NullOptions::from_body(body, diagnostics)?;
        let before = diagnostics.errors();
        options.comm.check(diagnostics);
        if options.comm.communicator == CommKind::Ssh {
            check_ssh(&options, diagnostics);
        }
        (diagnostics.errors() == before).then(|| Box::new(Null { comm: options.comm }) as Box<dyn Builder>)
    }
}

/// What other builders know or make, and this one cannot.
fn check_ssh(options: &NullOptions, diagnostics: &mut Diagnostics) {
    let ssh = &options.comm.ssh;
    if ssh.ssh_host.as_deref().unwrap_or_default().is_empty() {
        let error = Diagnostic::error("null needs the option `ssh_host`").at(options.spans.at("ssh_host"));
        diagnostics.push(error.hint("or `communicator = \"none\"` when no provisioner needs a machine"));
    }
    if !ssh.has_credentials() {
        let error = Diagnostic::error("null needs a way to log in").at(options.spans.at("ssh_username"));
        diagnostics.push(error.hint("set `ssh_password`, `ssh_private_key_file` or `ssh_agent_auth`"));
    }
}

struct Null {
    comm: CommOptions,
}

impl Null {
    fn connector(&self) -> Option<Arc<dyn Connector>> {
        if self.comm.communicator != CommKind::Ssh {
            return None;
        }
        let ssh = self.comm.ssh.clone();
        let target = Target {
            host: ssh.ssh_host.clone().unwrap_or_default(),
            port: ssh.ssh_port,
            generated_key: None,
            known_host_keys: Vec::new(),
        };
        Some(Arc::new(SshConnector::new(ssh, target)))
    }
}

#[async_trait]
impl Builder for Null {
    fn inputs(&self) -> Vec<Input> {
        let ssh = &self.comm.ssh;
        let place = format!("{}:{}", ssh.ssh_host.as_deref().unwrap_or_default(), ssh.ssh_port);
        vec![
            Input::new("option communicator", self.comm.communicator.as_str()),
            Input::new("option ssh_host", place),
            Input::new("option ssh_username", ssh.username().unwrap_or_default()),
        ]
    }

    async fn resolve(&self, _cx: &Cx) -> Result<Vec<Input>> {
        Ok(Vec::new())
    }

    async fn start(&self, _cx: &Cx, _from: Origin) -> Result<Box<dyn Machine>> {
        Ok(Box::new(Existing { connector: self.connector() }))
    }
}

struct Existing {
    connector: Option<Arc<dyn Connector>>,
}

#[async_trait]
impl Machine for Existing {
    fn facts(&self) -> Facts {
        Facts::from([("ID".to_owned(), Value::from("Null"))])
    }

    async fn connector(&mut self, _cx: &Cx) -> Result<Option<Arc<dyn Connector>>> {
        Ok(self.connector.clone())
    }

    async fn capture(self: Box<Self>, _cx: &Cx) -> Result<Artifact> {
        Ok(Artifact {
            builder_id: "fnoeding.null".into(),
            id: "Null".into(),
            text: "Did not export anything. This is the null builder".into(),
            ..Artifact::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use bakehouse_api::body::Verbatim;
    use bakehouse_api::{Entry, Form, Node, Span, SpanTree, testing};

    use super::*;

    fn prepare(entries: &[(&str, &str)]) -> (Option<Box<dyn Builder>>, Vec<String>) {
        let entry = |(name, value): &(&str, &str)| Entry {
            name: name.to_string(),
            name_span: Span::default(),
            form: Form::Attribute,
            node: Node::new(Value::from(*value), SpanTree::default()),
        };
        let body = Body {
            kind: "null".into(),
            name: "n".into(),
            build: "null.n".into(),
            build_name: "n".into(),
            builder_type: "null".into(),
            root: ".".into(),
            span: Span::default(),
            entries: entries.iter().map(entry).collect(),
            engine: Arc::new(Verbatim),
            secrets: Default::default(),
        };
        let mut diagnostics = Diagnostics::default();
        let builder = NullBackend.prepare(&body, &mut diagnostics);
        (builder, diagnostics.0.into_iter().map(|found| found.summary).collect())
    }

    #[tokio::test]
    async fn without_a_communicator_there_is_nothing_to_reach_and_nothing_left() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, recorder) = testing::cx(dir.path(), vec![]);
        let builder = prepare(&[("communicator", "none")]).0.unwrap();
        let mut machine = builder.start(&cx, Origin::Scratch).await.unwrap();
        assert!(machine.connector(&cx).await.unwrap().is_none());
        assert!(builder.has_machine() && builder.shutdown().is_none());
        let artifact = machine.capture(&cx).await.unwrap();
        assert_eq!((artifact.id.as_str(), artifact.files.len()), ("Null", 0));
        assert!(recorder.held().is_empty());
    }

    #[tokio::test]
    async fn with_ssh_the_connector_knows_the_place() {
        let entries =
            [("ssh_host", "192.0.2.1"), ("ssh_port", "2222"), ("ssh_username", "root"), ("ssh_password", "x")];
        let dir = tempfile::tempdir().unwrap();
        let (cx, _) = testing::cx(dir.path(), vec![]);
        let (builder, found) = prepare(&entries);
        assert_eq!(found, Vec::<String>::new());
        let mut machine = builder.unwrap().start(&cx, Origin::Scratch).await.unwrap();
        let facts = machine.connector(&cx).await.unwrap().unwrap().facts();
        assert_eq!(facts["Host"], Value::from("192.0.2.1"));
    }

    #[test]
    fn what_is_missing_is_found_offline() {
        let found = prepare(&[]).1;
        assert_eq!(
            found,
            [
                "the communicator ssh needs the option `ssh_username`",
                "null needs the option `ssh_host`",
                "null needs a way to log in"
            ]
        );
        assert_eq!(prepare(&[("communicator", "winrm")]).1.len(), 1);
        assert!(prepare(&[("communicator", "none"), ("shh_host", "x")]).1[0].contains("has no option `shh_host`"));
    }
}
