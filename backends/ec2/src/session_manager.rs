//! A port of this machine that leads to a port of the instance, through AWS Systems Manager and its
//! session-manager-plugin.

use std::net::TcpListener;
use std::time::Duration;

use aws_sdk_ssm::types::PingStatus;
use bakehouse_api::{Cx, Error, Kind, Result};
use bakehouse_kit::process::{Program, Running};
use serde_json::json;

use crate::client::{ApiError, Ec2, Look, Pace, wait};
use crate::options::RunOptions;

const PLUGIN: &str = "session-manager-plugin";
/// Where the plugin (1.2.497, 2023, or later) finds the session, whose token must not stand among its arguments.
const RESPONSE: &str = "AWS_SSM_START_SESSION_RESPONSE";
const DOCUMENT: &str = "AWS-StartPortForwardingSession";
/// The agent of the instance announces itself once the guest is up.
const AGENT: Pace = Pace { deadline: Duration::from_secs(600), longest: Duration::from_secs(5) };

/// The port of this machine, and the plugin that serves it until the build ends.
pub async fn open(cx: &Cx, ec2: &Ec2, run: &RunOptions, instance: &str, port: u16) -> Result<(u16, Running)> {
    let local = match run.session_manager_port.filter(|port| *port != 0) {
        Some(port) => port,
        None => free_port()?,
    };
    if !run.pause_before_ssm.is_zero() {
        cx.say(format!("Waiting {:?} before asking for a session, as `pause_before_ssm` asks", run.pause_before_ssm));
        cx.interruptible(async {
            tokio::time::sleep(run.pause_before_ssm).await;
            Ok(())
        })
        .await?;
    }
    let ssm = aws_sdk_ssm::Client::new(&ec2.session.config);
    agent(cx, &ssm, instance).await?;
    cx.say(format!("Opening a session to {instance} through Systems Manager, on port {local}"));
    let parameters = [("portNumber", port), ("localPortNumber", local)];
    let mut request = ssm.start_session().target(instance).document_name(DOCUMENT);
    for (name, value) in parameters {
        request = request.parameters(name, vec![value.to_string()]);
    }
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => return Err(ec2.explain(format!("opening a session to {instance}"), error).await),
    };
    let session = json!({
        "SessionId": answer.session_id(), "StreamUrl": answer.stream_url(), "TokenValue": answer.token_value(),
    });
    if let Some(token) = answer.token_value() {
        cx.secrets().add(token);
    }
    let asked = json!({
        "Target": instance, "DocumentName": DOCUMENT,
        "Parameters": { "portNumber": [port.to_string()], "localPortNumber": [local.to_string()] },
    });
    let endpoint = format!("https://ssm.{}.amazonaws.com", ec2.region);
    let profile = ec2.session.place.profile.clone().unwrap_or_default();
    let arguments = [RESPONSE, &ec2.region, "StartSession", &profile, &asked.to_string(), &endpoint];
    let plugin = Program::new(PLUGIN).args(arguments).env(RESPONSE, session.to_string()).spawn(cx).await;
    let plugin = plugin.map_err(|error| {
        let error = Error::from(error);
        match error.kind() {
            Kind::Missing => error.hint("`ssh_interface = \"session_manager\"` needs AWS's session-manager-plugin"),
            _ => error,
        }
    })?;
    Ok((local, plugin))
}

async fn agent(cx: &Cx, ssm: &aws_sdk_ssm::Client, instance: &str) -> Result<()> {
    let what = format!("the Systems Manager agent of {instance}");
    let found = wait(cx, &what, AGENT, || async move {
        let filter = aws_sdk_ssm::types::InstanceInformationStringFilter::builder().key("InstanceIds").values(instance);
        let filter = filter.build().map_err(|error| crate::client::Stop::Final(Error::new(Kind::Internal, error)))?;
        let answer = ssm.describe_instance_information().filters(filter).send().await.map_err(ApiError::from)?;
        let status = answer.instance_information_list().first().and_then(|information| information.ping_status());
        Ok(match status {
            Some(PingStatus::Online) => Look::Done(()),
            Some(other) => Look::Yet(other.as_str().to_owned()),
            None => Look::Yet("not registered".into()),
        })
    });
    found.await.map_err(|error| {
        error.hint(
            "the image needs the SSM agent, the instance a profile with AmazonSSMManagedInstanceCore and a way out",
        )
    })
}

fn free_port() -> Result<u16> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| Error::io("looking for a free port", &error))
}
