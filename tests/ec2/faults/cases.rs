//! The faults. Each is injected into a build of its own.

use serde_json::{Value, json};

/// How a build with a fault ends.
pub enum End {
    Survives,
    Says(&'static [&'static str]),
}

pub struct Case {
    pub name: String,
    pub settings: Value,
    pub faults: Vec<Value>,
    /// Python, run before the build.
    pub before: Option<&'static str>,
    pub source: &'static str,
    pub end: End,
}

impl Case {
    fn new(name: &str, fault: Value, end: End) -> Self {
        Self { name: name.into(), settings: json!({}), faults: vec![fault], before: None, source: QUICK, end }
    }

    fn setting(name: &str, settings: Value, end: End) -> Self {
        Self { settings, faults: vec![], ..Self::new(name, json!({}), end) }
    }

    fn source(self, source: &'static str) -> Self {
        Self { source, ..self }
    }
}

/// Nothing is said to the guest.
const QUICK: &str = r#"
  communicator = "none"
  ami_regions  = ["us-west-2"]
  ami_users    = ["111122223333"]
"#;

/// The guest is waited for, in vain: it hangs.
const SSH: &str = r#"
  ssh_timeout = "3s"
"#;

const NEVER_REACHED: End = End::Says(&["timed out", "SSH"]);

/// The calls of a whole build; the first of some is a dry run.
const CALLS: [(&str, u32); 14] = [
    ("GetCallerIdentity", 1),
    ("DescribeImages", 1),
    ("DescribeVpcs", 1),
    ("DescribeRegions", 1),
    ("CreateSecurityGroup", 2),
    ("RunInstances", 2),
    ("DescribeInstances", 1),
    ("StopInstances", 1),
    ("CreateImage", 1),
    ("CopyImage", 2),
    ("ModifyImageAttribute", 1),
    ("DeleteTags", 1),
    ("TerminateInstances", 1),
    ("DeleteSecurityGroup", 1),
];

/// Those of a build that speaks SSH.
const SSH_CALLS: [(&str, u32); 4] =
    [("ImportKeyPair", 2), ("AuthorizeSecurityGroupIngress", 1), ("DeleteKeyPair", 1), ("GetConsoleOutput", 1)];

/// Every call of a whole build fails once: by an error of AWS, by a connection that is cut before the call was
/// carried out, and by one that is cut after it.
pub fn once() -> Vec<Case> {
    let mut cases = Vec::new();
    let quick = CALLS.iter().map(|call| (call, QUICK));
    for ((call, nth), source) in quick.chain(SSH_CALLS.iter().map(|call| (call, SSH))) {
        let faults = [
            (format!("500 on {call}"), json!({ "kind": "internal", "action": call, "nth": nth })),
            (format!("{call} cut off"), json!({ "kind": "cut", "action": call, "nth": nth })),
            (
                format!("{call} cut off after it was done"),
                json!({ "kind": "cut", "action": call, "executed": true, "nth": nth }),
            ),
        ];
        // What only asks is the same before and after.
        let asks = call.starts_with("Describe") || call.starts_with("Get");
        for (name, fault) in faults.into_iter().take(if asks { 2 } else { 3 }) {
            let end = if source == SSH { NEVER_REACHED } else { End::Survives };
            cases.push(Case::new(&name, fault, end).source(source));
        }
    }
    for call in ["CreateSecurityGroup", "RunInstances", "CopyImage"] {
        let fault = json!({ "kind": "internal", "action": call });
        cases.push(Case::new(&format!("500 on the dry run of {call}"), fault, End::Survives));
    }
    cases
}

/// What does not pass is said.
pub fn lasting() -> Vec<Case> {
    let says = |words: &'static [&'static str]| End::Says(words);
    let always = |code: &str, message: &str, action: &str| json!({ "kind": "error", "code": code, "message": message, "action": action, "times": 0 });
    vec![
        Case::new("expired credentials", json!({ "kind": "expired" }), says(&["Request has expired", "aws sso login"])),
        Case::new(
            "a missing permission, found by the dry run",
            json!({ "kind": "unauthorized", "action": "RunInstances" }),
            says(&["asking whether an instance may be launched", "ec2:RunInstances"]),
        ),
        Case::new(
            "a missing permission at the end",
            json!({ "kind": "unauthorized", "action": "ModifyImageAttribute" }),
            says(&["the launch permissions", "ec2:ModifyImageAttribute"]),
        ),
        Case::new(
            "a missing permission when nearly all is done",
            json!({ "kind": "unauthorized", "action": "*Tags" }),
            says(&["taking the mark of this build off", "ec2:DeleteTags"]),
        ),
        Case::new(
            "no such image",
            always("InvalidAMIID.NotFound", "The image id '[ami-1]' does not exist", "DescribeImages"),
            says(&["looking at the source image", "does not exist"]),
        ),
        Case {
            before: Some(NO_VPC),
            ..Case::setting("no default VPC", json!({}), says(&["no default VPC in us-east-1", "subnet_id"]))
        },
        Case::new(
            "the quota of instances is used up",
            always("VcpuLimitExceeded", "You have requested more vCPU capacity", "RunInstances"),
            says(&["vCPU capacity", "quota"]),
        ),
        Case::setting(
            "no capacity",
            json!({ "no_capacity": ["*"] }),
            says(&["launching an instance of t3.micro", "InsufficientInstanceCapacity", "availability_zone"]),
        ),
        Case::setting(
            "the instance ends by itself",
            json!({ "launch_fails": "Client.InternalError: Client error on launch" }),
            says(&["waiting for the instance", "Client error on launch"]),
        ),
        Case::setting(
            "the image fails",
            json!({ "image_fails": "Server.InternalError: the image went wrong" }),
            says(&["the image ami-", "failed"]),
        ),
        Case::setting(
            "the snapshot is slower than the patience",
            json!({ "image": 600 }),
            says(&["gave up waiting for the image ami-", "`pending`", "aws_polling"]),
        )
        .source("communicator = \"none\"\n  aws_polling {\n    delay_seconds = 1\n    max_attempts = 5\n  }"),
        Case::new(
            "CreateImage is refused",
            always("InvalidParameterValue", "no such thing", "CreateImage"),
            says(&["creating the image web from i-", "no such thing"]),
        ),
        Case::new(
            "a copy is refused",
            always("InvalidRequest", "the key is disabled", "CopyImage"),
            says(&["copying ami-", "the key is disabled"]),
        ),
        Case::new(
            "a key pair is refused",
            always("InvalidKey.Format", "Key is not in valid OpenSSH public key format", "ImportKeyPair"),
            says(&["importing the key pair packer_", "valid OpenSSH"]),
        )
        .source(SSH),
        Case::new(
            "throttled for ever",
            json!({ "kind": "throttle", "action": "CreateImage" }),
            says(&["creating the image web", "RequestLimitExceeded", "max_retries"]),
        )
        .source("communicator = \"none\"\n  max_retries  = 2"),
    ]
}

/// What an account without a default VPC has: nothing to stand on.
const NO_VPC: &str = r#"
for subnet in ec2.describe_subnets()["Subnets"]:
    ec2.delete_subnet(SubnetId=subnet["SubnetId"])
for vpc in ec2.describe_vpcs()["Vpcs"]:
    ec2.delete_vpc(VpcId=vpc["VpcId"])
"#;

/// What passes is waited for.
pub fn passing() -> Vec<Case> {
    let wait = |action: &str, nth: u32| json!({ "kind": "cut", "action": action, "nth": nth });
    vec![
        Case::setting("things show themselves late", json!({ "consistency": 2 }), End::Survives),
        Case::new(
            "every call throttled for thirty seconds",
            json!({ "kind": "throttle", "action": "*", "seconds": 30 }),
            End::Survives,
        ),
        Case::new("two calls a second get through", json!({ "kind": "throttle", "rate": 2 }), End::Survives),
        Case::new("a cut in the wait for the instance", wait("DescribeInstances", 2), End::Survives),
        Case::new("a cut in the wait for the image", wait("DescribeImages", 4), End::Survives),
        Case::new("tags may not be removed", json!({ "kind": "unauthorized", "action": "DeleteTags" }), End::Survives),
        Case::new("the service is overloaded", json!({ "kind": "unavailable", "action": "*" }), End::Survives),
        Case::new("every answer takes half a second", json!({ "kind": "slow", "delay": 0.5 }), End::Survives),
    ]
}
