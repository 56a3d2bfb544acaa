//! Data sources and functions that ask AWS.

use crate::cloud::Cloud;

#[test]
fn values_come_from_aws_and_secrets_stay_hidden() {
    let cloud = Cloud::start();
    let sandbox = cloud.sandbox();
    cloud.python(
        r#"client("ssm").put_parameter(Name="/app/v", Value="1.2.3", Type="String")
secret = json.dumps({"user": "hidden-user", "port": 22})
client("secretsmanager").create_secret(Name="login", SecretString=secret)"#,
    );
    let template = |owner: &str, key: &str| {
        format!(
            r#"
data "amazon-ami" "base" {{
  filters     = {{ name = "ti*" }}
  owners      = ["{owner}"]
  most_recent = true
}}
data "amazon-parameterstore" "version" {{ name = "/app/v" }}
data "amazon-secretsmanager" "login" {{
  name = "login"
  key  = "{key}"
}}
locals {{
  raw = aws_secretsmanager_raw("login")
}}
source "null" "x" {{ communicator = "none" }}
build {{
  sources = ["source.null.x"]
  provisioner "shell-local" {{
    environment_vars = ["LOGIN=${{data.amazon-secretsmanager.login.value}}", "RAW=${{jsondecode(local.raw).port}}"]
    inline = [
      "echo ${{data.amazon-ami.base.id}} ${{data.amazon-ami.base.name}} ${{data.amazon-parameterstore.version.value}}",
      "echo login $LOGIN, $(printf %s \"$LOGIN\" | wc -c) letters, port $RAW",
    ]
  }}
}}
"#
        )
    };
    sandbox.write("t.pkr.hcl", &template("amazon", "user"));
    sandbox.run(&["validate", "t.pkr.hcl"]).ok();
    let made = sandbox.run(&["build", "t.pkr.hcl"]).ok();
    assert!(made.stdout.contains(&format!("{} tiny 1.2.3", cloud.image)), "{}", made.all());
    assert!(made.stdout.contains("login <sensitive>, 11 letters, port"), "{}", made.all());
    assert!(!made.all().contains("hidden-user"), "{}", made.all());

    for (owner, key, said) in [("self", "user", "no image fits"), ("amazon", "pass", "it has no key `pass`")] {
        sandbox.write("wrong.pkr.hcl", &template(owner, key));
        sandbox.run(&["build", "wrong.pkr.hcl"]).fails_saying(&[said, "wrong.pkr.hcl:"]);
    }
}
