//! Data sources, and the functions that ask for secrets: they block, as a template is read before anything runs.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use bakehouse_api::{Body, DataSource, Diagnostic, Diagnostics, Error, Kind, Options, Result, Schema, Type, Value};

use crate::check;
use crate::client::{ApiError, Session, Sessions};
use crate::network::given;
use crate::options::AccessOptions;
use crate::options::data::{AmiData, ParameterData, SecretData};
use crate::source_ami::SourceAmi;

/// Every AWS data source.
pub fn data_sources() -> Vec<Arc<dyn DataSource>> {
    vec![Arc::new(Ami), Arc::new(Parameter), Arc::new(Secret)]
}

/// The text of a secret, as `aws_secretsmanager_raw` gives it.
pub fn secret_text(name: &str) -> Result<String> {
    let access = AccessOptions::plain();
    block_on(async {
        let session = Sessions::default().open(&access, "function").await?;
        secret(&session, name, None, None).await.map(|(text, _)| text)
    })
}

/// The field `key` of a secret that is a JSON object; without a key the only one there is.
pub fn secret_field(text: &str, key: Option<&str>) -> Result<String, String> {
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(text) else {
        return match key {
            None => Ok(text.to_owned()),
            Some(key) => Err(format!("it is no JSON object that could have a key `{key}`")),
        };
    };
    let value = match key {
        Some(key) => fields.get(key).ok_or_else(|| format!("it has no key `{key}`"))?,
        None if fields.len() == 1 => fields.values().next().ok_or("it is empty")?,
        None => return Err(format!("it has {} keys: name one with `key`", fields.len())),
    };
    Ok(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn block_on<T>(work: impl Future<Output = Result<T>> + Send) -> Result<T>
where
    T: Send,
{
    // A thread of its own: this may be called where a runtime runs already.
    std::thread::scope(|scope| {
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|error| Error::new(Kind::Host, error))?.block_on(work)
        };
        scope.spawn(run).join().unwrap_or_else(|_| Err(Error::new(Kind::Internal, "asking AWS failed")))
    })
}

/// Asks when it may be asked and everything is known.
fn answer(
    body: &Body,
    ask: bool,
    found: &mut Diagnostics,
    work: impl Future<Output = Result<Value>> + Send,
) -> Option<Value> {
    if !ask || body.has_unknown() {
        return Some(Value::unknown(Type::Any));
    }
    match block_on(work) {
        Ok(value) => Some(value),
        Err(error) => {
            let mut diagnostic = Diagnostic::error(format!("data.{}.{}: {error}", body.kind, body.name)).at(body.span);
            diagnostic.hint = error.hints().first().cloned();
            found.push(diagnostic);
            None
        }
    }
}

fn object(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

async fn open(access: &AccessOptions) -> Result<Arc<Session>> {
    Sessions::default().open(access, "data").await
}

struct Ami;

impl DataSource for Ami {
    fn kind(&self) -> &'static str {
        "amazon-ami"
    }

    fn schema(&self) -> Schema {
        AmiData::schema(self.kind())
    }

    fn read(&self, body: &Body, ask: bool, found: &mut Diagnostics) -> Option<Value> {
        let options = AmiData::from_body(body, found)?;
        let before = found.errors();
        check::data_ami(body, &options, found);
        if found.errors() > before {
            return None;
        }
        answer(body, ask, found, async {
            let session = open(&options.access).await?;
            let ec2 = session.clone().ec2(&session.place.region);
            let image = SourceAmi::find(&ec2, &options.filter).await?;
            let tags: BTreeMap<String, Value> =
                image.tags.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
            Ok(object([
                ("id", Value::from(image.id)),
                ("name", Value::from(image.name)),
                ("creation_date", Value::from(image.created)),
                ("owner", Value::from(image.owner)),
                ("owner_name", Value::from(image.owner_alias)),
                ("tags", Value::object(tags)),
            ]))
        })
    }
}

struct Parameter;

impl DataSource for Parameter {
    fn kind(&self) -> &'static str {
        "amazon-parameterstore"
    }

    fn schema(&self) -> Schema {
        ParameterData::schema(self.kind())
    }

    fn read(&self, body: &Body, ask: bool, found: &mut Diagnostics) -> Option<Value> {
        let options = ParameterData::from_body(body, found)?;
        answer(body, ask, found, async {
            let session = open(&options.access).await?;
            let ssm = aws_sdk_ssm::Client::new(&session.config);
            let request = ssm.get_parameter().name(&options.name).with_decryption(options.with_decryption);
            let doing = || format!("reading the parameter {}", options.name);
            let answer = request.send().await.map_err(|error| Error::from(ApiError::from(error)).context(doing()))?;
            let parameter =
                answer.parameter.ok_or_else(|| Error::new(Kind::Host, "AWS answered with nothing").context(doing()))?;
            let value = Value::from(parameter.value().unwrap_or_default()).sensitive(options.with_decryption);
            Ok(object([
                ("value", value),
                ("version", Value::from(parameter.version().to_string())),
                ("arn", Value::from(parameter.arn().unwrap_or_default())),
            ]))
        })
    }
}

struct Secret;

impl DataSource for Secret {
    fn kind(&self) -> &'static str {
        "amazon-secretsmanager"
    }

    fn schema(&self) -> Schema {
        SecretData::schema(self.kind())
    }

    fn read(&self, body: &Body, ask: bool, found: &mut Diagnostics) -> Option<Value> {
        let options = SecretData::from_body(body, found)?;
        answer(body, ask, found, async {
            let session = open(&options.access).await?;
            let (id, stage) = (given(&options.version_id), given(&options.version_stage));
            let (text, version) = secret(&session, &options.name, id, stage).await?;
            let value = secret_field(&text, given(&options.key).as_deref())
                .map_err(|reason| Error::new(Kind::Input, format!("the secret {}: {reason}", options.name)))?;
            Ok(object([
                ("value", Value::from(value).sensitive(true)),
                ("secret_string", Value::from(text).sensitive(true)),
                ("version_id", Value::from(version)),
            ]))
        })
    }
}

/// Its text and its version.
async fn secret(
    session: &Session,
    name: &str,
    version: Option<String>,
    stage: Option<String>,
) -> Result<(String, String)> {
    let client = aws_sdk_secretsmanager::Client::new(&session.config);
    let request = client.get_secret_value().secret_id(name).set_version_id(version).set_version_stage(stage);
    let doing = || format!("reading the secret {name}");
    let answer = request.send().await.map_err(|error| Error::from(ApiError::from(error)).context(doing()))?;
    let binary = || Error::new(Kind::Input, "it holds bytes and no text").context(doing());
    Ok((answer.secret_string.ok_or_else(binary)?, answer.version_id.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::secret_field;

    #[test]
    fn a_field_of_a_secret() {
        let pair = r#"{ "user": "u", "port": 22 }"#;
        assert_eq!(secret_field(pair, Some("user")), Ok("u".into()));
        assert_eq!(secret_field(pair, Some("port")), Ok("22".into()));
        assert_eq!(secret_field(r#"{ "only": "x" }"#, None), Ok("x".into()));
        assert_eq!(secret_field("plain", None), Ok("plain".into()));
        assert!(secret_field(pair, None).unwrap_err().contains("2 keys"));
        assert!(secret_field(pair, Some("no")).unwrap_err().contains("no key `no`"));
        assert!(secret_field("plain", Some("k")).unwrap_err().contains("no JSON object"));
    }
}
