//! A running instance: how it comes up, where it is reached, what its console says.

use aws_sdk_ec2::types::{Instance, InstanceStateName};
use bakehouse_api::{Cx, Error, Kind, Result, UndoId};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::client::{ApiError, Ec2, Launching, Look, Pace, Reason, Stop, settled, wait};
use crate::held::{Thing, acquire};
use crate::launch::Launch;
use crate::options::run::SshInterface;

/// For an address that EC2 assigns after the start.
const ADDRESS: Pace = Pace { deadline: std::time::Duration::from_secs(60), longest: std::time::Duration::from_secs(3) };

/// Starts an instance of the first type that there is room for.
pub async fn launch(cx: &Cx, ec2: &Ec2, launch: &Launch<'_>) -> Result<(String, UndoId)> {
    let types = cheapest_first(cx, ec2, launch).await?;
    let last = types.len().saturating_sub(1);
    for (n, instance_type) in types.iter().enumerate() {
        match launch_one(cx, ec2, launch, instance_type).await? {
            Ok(made) => return Ok(made),
            Err(error) if n < last => {
                cx.message(format!("No room for {instance_type} ({}): trying {}", error.code, types[n + 1]));
            }
            Err(error) => return Err(ec2.explain(format!("launching an instance of {instance_type}"), error).await),
        }
    }
    Err(Error::new(Kind::Config, "no instance type is given"))
}

/// The inner error: there is no room for such an instance.
async fn launch_one(
    cx: &Cx,
    ec2: &Ec2,
    launch: &Launch<'_>,
    instance_type: &str,
) -> Result<Result<(String, UndoId), ApiError>> {
    let fresh_profile = launch.run.temporary_iam_instance_profile_policy_document.is_some();
    let send = || {
        let retries = aws_sdk_ec2::config::Builder::new().retry_classifier(Launching { fresh_profile });
        let request = launch.request(ec2, instance_type).customize().config_override(retries);
        async move { request.send().await.map_err(ApiError::from) }
    };
    let thing = |id| Thing::Instance { token: launch.token.clone(), id };
    let mut full = None;
    let made = acquire(cx, ec2, &format!("launching an instance of {instance_type}"), thing(None), async {
        // The group and the key pair are new.
        match settled(send).await {
            Err(error) => {
                full = Some(error.clone()).filter(|error| error.is(Reason::Capacity));
                Err(error)
            }
            Ok(answer) => {
                let id = answer.instances().first().and_then(|instance| instance.instance_id().map(str::to_owned));
                Ok((id.clone(), thing(id)))
            }
        }
    })
    .await;
    match (made, full) {
        (Ok((Some(id), undo)), _) => Ok(Ok((id, undo))),
        (Ok((None, _)), _) => Err(Error::new(Kind::Host, "AWS started an instance and did not say which")),
        (Err(_), Some(full)) => Ok(Err(full)),
        (Err(error), None) => Err(error),
    }
}

/// Several types are for spot instances only.
async fn cheapest_first(cx: &Cx, ec2: &Ec2, launch: &Launch<'_>) -> Result<Vec<String>> {
    let mut types = launch.run.instance_types();
    if types.len() < 2 {
        return Ok(types);
    }
    let request = ec2
        .api
        .describe_spot_price_history()
        .set_instance_types(Some(types.iter().map(|name| name.as_str().into()).collect()))
        .product_descriptions("Linux/UNIX")
        .start_time(std::time::SystemTime::now().into())
        .set_availability_zone(launch.network.zone.clone());
    let answer = match cx.interruptible(async { Ok(request.send().await) }).await? {
        Ok(answer) => answer,
        Err(error) => {
            cx.warn(format!("the prices of spot instances are not known: {}", ApiError::from(error)));
            return Ok(types);
        }
    };
    let price = |name: &String| {
        let of_it = answer
            .spot_price_history()
            .iter()
            .filter(|entry| entry.instance_type().is_some_and(|kind| kind.as_str() == name));
        of_it.filter_map(|entry| entry.spot_price()?.parse::<f64>().ok()).fold(f64::INFINITY, f64::min)
    };
    types.sort_by(|one, other| price(one).total_cmp(&price(other)));
    Ok(types)
}

pub async fn describe(ec2: &Ec2, id: &str) -> Result<Instance, ApiError> {
    let answer = ec2.api.describe_instances().instance_ids(id).send().await?;
    let found = answer.reservations().iter().flat_map(|reservation| reservation.instances()).next();
    found.cloned().ok_or_else(|| ApiError {
        reason: Reason::NotFound,
        code: "InvalidInstanceID.NotFound".into(),
        message: format!("the instance {id} is not there"),
        request_id: None,
    })
}

pub fn state(instance: &Instance) -> Option<&InstanceStateName> {
    instance.state()?.name()
}

/// Why an instance is in the state that it is in.
fn why(instance: &Instance) -> String {
    let reason = instance.state_reason().and_then(|reason| reason.message());
    let reason = reason.or(instance.state_transition_reason()).unwrap_or_default();
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

pub async fn running(cx: &Cx, ec2: &Ec2, id: &str, pace: Pace) -> Result<Instance> {
    wait(cx, &format!("the instance {id} to run"), pace, || async move {
        let instance = describe(ec2, id).await?;
        match state(&instance) {
            Some(InstanceStateName::Running) => Ok(Look::Done(instance)),
            Some(InstanceStateName::Pending) | None => Ok(Look::Yet("pending".into())),
            Some(other) => Err(Stop::Final(went(id, other, &instance))),
        }
    })
    .await
}

/// The end of an instance that should run.
pub fn went(id: &str, state: &InstanceStateName, instance: &Instance) -> Error {
    let error = Error::new(Kind::Guest, format!("the instance {id} is {}{}", state.as_str(), why(instance)));
    match instance.state_reason().and_then(|reason| reason.code()) {
        Some(code) if code.contains("Capacity") => {
            error.hint("choose another instance_type, availability_zone or subnet_id")
        }
        Some(code) if code.contains("VolumeLimit") || code.contains("Client.InternalError") => {
            error.hint("check the quota of volumes and who may use the key that encrypts them")
        }
        _ => error,
    }
}

pub async fn stopped(cx: &Cx, ec2: &Ec2, id: &str, pace: Pace) -> Result<()> {
    wait(cx, &format!("the instance {id} to stop"), pace, || async move {
        let instance = describe(ec2, id).await?;
        match state(&instance) {
            Some(InstanceStateName::Stopped) => Ok(Look::Done(())),
            Some(end @ (InstanceStateName::Terminated | InstanceStateName::ShuttingDown)) => {
                let error = went(id, end, &instance);
                Err(Stop::Final(error.hint("with `shutdown_behavior = \"stop\"` it stays to make an image of")))
            }
            Some(other) => Ok(Look::Yet(other.as_str().to_owned())),
            None => Ok(Look::Yet("in no state".into())),
        }
    })
    .await
}

/// Where the communicator connects.
pub async fn located(cx: &Cx, ec2: &Ec2, instance: Instance, interface: SshInterface) -> Result<String> {
    if let Some(address) = address(&instance, interface) {
        return Ok(address);
    }
    let id = instance.instance_id().unwrap_or_default().to_owned();
    let id = id.as_str();
    let name = if interface == SshInterface::Unset { "address" } else { interface.as_str() };
    let what = format!("the instance {id} to have a {name}");
    let found = wait(cx, &what, ADDRESS, || async move {
        let instance = describe(ec2, id).await?;
        Ok(match address(&instance, interface) {
            Some(address) => Look::Done(address),
            None => Look::Yet(format!("no {name}")),
        })
    });
    found.await.map_err(|error| {
        error.hint("set `associate_public_ip_address = true`, another `ssh_interface`, or a subnet with such addresses")
    })
}

pub fn address(instance: &Instance, interface: SshInterface) -> Option<String> {
    let public = instance.public_ip_address();
    let private = instance.private_ip_address();
    let ipv6 = instance.ipv6_address().or_else(|| {
        instance.network_interfaces().iter().flat_map(|card| card.ipv6_addresses()).find_map(|it| it.ipv6_address())
    });
    let found = match interface {
        SshInterface::Unset => public.or(private).or(ipv6),
        SshInterface::PublicIp => public,
        SshInterface::PrivateIp => private,
        SshInterface::PublicDns => instance.public_dns_name(),
        SshInterface::PrivateDns => instance.private_dns_name(),
        SshInterface::Ipv6 => ipv6,
        SshInterface::SessionManager => Some("127.0.0.1"),
    };
    found.filter(|address| !address.is_empty()).map(str::to_owned)
}

/// What the guest wrote to its serial line.
pub async fn console(ec2: &Ec2, id: &str) -> Option<String> {
    let answer = ec2.api.get_console_output().instance_id(id).latest(true).send().await;
    let answer = match answer {
        Ok(answer) => Ok(answer),
        // Only Nitro instances tell the latest; others what they have kept.
        Err(_) => ec2.api.get_console_output().instance_id(id).send().await,
    };
    let output = answer.ok()?.output?;
    let bytes = STANDARD.decode(output.trim()).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (!text.trim().is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_reached_where_the_template_says() {
        let instance = Instance::builder()
            .public_ip_address("192.0.2.1")
            .private_ip_address("10.0.0.1")
            .public_dns_name("")
            .build();
        let at = |interface| address(&instance, interface);
        assert_eq!(at(SshInterface::Unset).as_deref(), Some("192.0.2.1"));
        assert_eq!(at(SshInterface::PrivateIp).as_deref(), Some("10.0.0.1"));
        assert_eq!(at(SshInterface::PublicDns), None);
        assert_eq!(at(SshInterface::SessionManager).as_deref(), Some("127.0.0.1"));
    }

    #[test]
    fn an_end_says_why() {
        let reason = aws_sdk_ec2::types::StateReason::builder()
            .code("Server.InsufficientInstanceCapacity")
            .message("no capacity")
            .build();
        let instance = Instance::builder().state_reason(reason).build();
        let error = went("i-1", &InstanceStateName::Terminated, &instance);
        assert_eq!(error.message(), "the instance i-1 is terminated: no capacity");
        assert_eq!(error.hints().len(), 1);
    }
}
