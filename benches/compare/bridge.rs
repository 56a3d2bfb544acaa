//! The bridge on the endpoint of tests/cloud: an upload by EBS direct against coldsnap and against a loop that does
//! nothing but send the same blocks; an upload to S3 against `aws s3 cp`.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::Bench;
use crate::endpoint::{Endpoint, python};
use crate::measure::{Measured, median, run};
use crate::row::{Goal, Row};

const BLOCK: usize = 512 << 10;
const DISK: u64 = 8 << 30;
const WRITTEN: usize = (2 << 30) / BLOCK;
const OBJECT: u64 = 1 << 30;
const RUNS: usize = 3;
/// What the endpoint, which is written in Python, still serves at full speed.
const LANES: usize = 8;
const LATENCY: Duration = Duration::from_millis(50);

pub fn transfers(bench: &Bench) -> Result<Vec<Row>, String> {
    let work = bench.work.path().join("bridge");
    std::fs::create_dir_all(&work).map_err(|error| error.to_string())?;
    let disk = work.join("disk.raw");
    make_disk(&disk).map_err(|error| format!("making the disk: {error}"))?;
    let mut rows = blocks(bench, &disk)?;
    rows.extend(objects(bench, &work)?);
    Ok(rows)
}

/// Some partition table, and 2 GiB of noise in the first half of every MiB of the first 4 GiB.
fn make_disk(path: &Path) -> std::io::Result<()> {
    let file = File::create(path)?;
    file.set_len(DISK)?;
    let mut state = 1u64;
    let mut block = vec![0; BLOCK];
    for index in 0..WRITTEN as u64 {
        for chunk in block.chunks_exact_mut(8) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            chunk.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all_at(&block, index * 2 * BLOCK as u64)?;
    }
    file.write_all_at(&[0x55, 0xaa], 510)
}

fn blocks(bench: &Bench, disk: &Path) -> Result<Vec<Row>, String> {
    let (mut ours, mut cold, mut raw, mut peak) = (vec![], vec![], vec![], 0.0f64);
    for _ in 0..RUNS {
        let (seconds, memory) = import(bench, &Endpoint::start(&[])?, disk, &[])?;
        peak = peak.max(memory);
        ours.push(seconds);
        cold.push(coldsnap(&Endpoint::start(&[])?, disk)?);
        raw.push(raw_loop(&Endpoint::start(&[])?, disk)?);
    }
    let slow = Endpoint::start(&[])?;
    let fault =
        json!({ "kind": "slow", "service": "ebs", "action": "PutSnapshotBlock", "delay": LATENCY.as_secs_f64() });
    slow.ask("POST", "/_cloud/faults", "", fault.to_string().as_bytes())?;
    let (seconds, _) = import(bench, &slow, disk, &["--parallel", &LANES.to_string()])?;
    let (rate, most) = (WRITTEN as f64 / seconds, LANES as f64 / LATENCY.as_secs_f64());
    let ours = median(ours);
    let row =
        |id, what: &str, ours, theirs, unit, goal, runs| Row { id, what: what.into(), ours, theirs, unit, goal, runs };
    Ok(vec![
        row(
            "bridge-coldsnap",
            "2 of 8 GiB by EBS direct, against coldsnap",
            ours,
            Some(median(cold)),
            "s",
            Goal::Ratio(1.0),
            RUNS,
        ),
        row(
            "bridge-raw",
            "the same, against a loop that only sends",
            ours,
            Some(median(raw)),
            "s",
            Goal::Ratio(1.25),
            RUNS,
        ),
        row("bridge-memory", "peak memory", peak, None, "MiB", Goal::AtMost(200.0), RUNS),
        // As time for a block: the goal is 0.8 of what so many lanes can do.
        row(
            "bridge-latency",
            "50 ms a call: ms a block, against lanes",
            1000.0 / rate,
            Some(1000.0 / most),
            "ms",
            Goal::Ratio(1.25),
            1,
        ),
    ])
}

/// Seconds until every block was there, and MiB of memory.
fn import(bench: &Bench, endpoint: &Endpoint, disk: &Path, more: &[&str]) -> Result<(f64, f64), String> {
    let cache = disk.with_extension("cache");
    let mut command = Command::new(&bench.ours);
    command.arg("import").arg(disk).args([
        "--name",
        "bench",
        "--architecture",
        "x86_64",
        "--force",
        "--events",
        "json",
    ]);
    command.args(more).envs(endpoint.env()).env("XDG_CACHE_HOME", &cache).env("XDG_STATE_HOME", &cache);
    let measured = run(&mut command)?;
    let closed = |line: &str| line.contains("Waiting for the snapshot");
    let at = measured.lines.iter().find(|(_, line)| closed(line)).map(|(at, _)| at.as_secs_f64());
    Ok((at.ok_or("the import did not say when the blocks were there")?, measured.peak_mib))
}

fn coldsnap(endpoint: &Endpoint, disk: &Path) -> Result<f64, String> {
    let program: PathBuf = std::env::var_os("BENCH_COLDSNAP").ok_or("BENCH_COLDSNAP is not set")?.into();
    let mut command = Command::new(program);
    command
        .args(["--endpoint", &endpoint.url, "upload", "--no-progress", "--omit-zero-blocks"])
        .arg(disk)
        .envs(endpoint.env());
    seconds(run(&mut command))
}

fn seconds(measured: Result<Measured, String>) -> Result<f64, String> {
    measured.map(|measured| measured.wall.as_secs_f64())
}

/// Threads that send blocks, one after the other, and nothing else.
fn raw_loop(endpoint: &Endpoint, disk: &Path) -> Result<f64, String> {
    let began = Instant::now();
    let started = endpoint.ask("POST", "/snapshots", "", json!({ "VolumeSize": DISK >> 30 }).to_string().as_bytes())?;
    let started: Value = serde_json::from_slice(&started).map_err(|error| error.to_string())?;
    let snapshot = started["SnapshotId"].as_str().ok_or("no snapshot")?;
    let file = File::open(disk).map_err(|error| error.to_string())?;
    let next = Mutex::new(0..WRITTEN);
    let send = || -> Result<(), String> {
        let agent = agent();
        let mut block = vec![0; BLOCK];
        loop {
            let Some(index) = next.lock().map_err(|error| error.to_string())?.next() else { return Ok(()) };
            file.read_exact_at(&mut block, (index * 2 * BLOCK) as u64).map_err(|error| error.to_string())?;
            let path = format!("/snapshots/{snapshot}/blocks/{}", index * 2);
            endpoint.send(&agent, "PUT", &path, &STANDARD.encode(Sha256::digest(&block)), &block)?;
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..64).map(|_| scope.spawn(send)).collect();
        threads.into_iter().try_for_each(|it| it.join().unwrap_or_else(|_| Err("a thread panicked".into())))
    })?;
    let path = format!("/snapshots/completion/{snapshot}");
    endpoint.ask("POST", &path, "", b"")?;
    Ok(began.elapsed().as_secs_f64())
}

fn objects(bench: &Bench, work: &Path) -> Result<Vec<Row>, String> {
    let file = work.join("object.bin");
    let disk = File::open(work.join("disk.raw")).map_err(|error| error.to_string())?;
    let mut from = std::io::Read::take(disk, OBJECT);
    File::create(&file).and_then(|mut to| std::io::copy(&mut from, &mut to)).map_err(|error| error.to_string())?;
    let template = work.join("s3.pkr.hcl");
    let text = format!(
        "source \"null\" \"x\" {{ communicator = \"none\" }}\nbuild {{\n  sources = [\"null.x\"]\n  post-processors {{\n    \
         post-processor \"artifice\" {{ files = [\"{}\"] }}\n    \
         post-processor \"s3\" {{\n      bucket = \"bench\"\n      sha256 = false\n    }}\n  }}\n}}\n",
        file.display()
    );
    std::fs::write(&template, text).map_err(|error| error.to_string())?;
    let (mut ours, mut theirs) = (vec![], vec![]);
    for _ in 0..RUNS {
        let endpoint = Endpoint::start(&[])?;
        endpoint.bucket("bench")?;
        let mut command = Command::new(&bench.ours);
        command.arg("build").arg(&template).current_dir(work).envs(endpoint.env());
        ours.push(seconds(run(command.env("XDG_CACHE_HOME", work).env("XDG_STATE_HOME", work)))?);
        let mut command = Command::new(python("aws")?);
        command.args(["s3", "cp", "--quiet"]).arg(&file).arg("s3://bench/theirs").envs(endpoint.env());
        theirs.push(seconds(run(&mut command))?);
    }
    let (ours, theirs) = (median(ours), Some(median(theirs)));
    let what = "1 GiB into a bucket, against aws s3 cp".into();
    Ok(vec![Row { id: "bridge-s3", what, ours, theirs, unit: "s", goal: Goal::Ratio(1.0), runs: RUNS }])
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(300))).build().new_agent()
}

impl Endpoint {
    fn bucket(&self, name: &str) -> Result<(), String> {
        self.request(&agent(), "s3", "PUT", &format!("/{name}"), "", b"").map(|_| ())
    }

    fn ask(&self, method: &str, path: &str, sum: &str, body: &[u8]) -> Result<Vec<u8>, String> {
        self.send(&agent(), method, path, sum, body)
    }

    fn send(&self, agent: &ureq::Agent, method: &str, path: &str, sum: &str, body: &[u8]) -> Result<Vec<u8>, String> {
        self.request(agent, "ebs", method, path, sum, body)
    }

    /// Signed as far as the endpoint looks.
    fn request(
        &self,
        agent: &ureq::Agent,
        service: &str,
        method: &str,
        path: &str,
        sum: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, String> {
        let login = format!("AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/{service}/aws4_request, Signature=0");
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("Authorization", login)
            .header("x-amz-ChangedBlocksCount", WRITTEN.to_string());
        let request = match sum {
            "" => request,
            sum => request
                .header("x-amz-Data-Length", body.len().to_string())
                .header("x-amz-Checksum", sum)
                .header("x-amz-Checksum-Algorithm", "SHA256"),
        };
        let request = request.body(body).map_err(|error| error.to_string())?;
        let mut answer = agent.run(request).map_err(|error| format!("{method} {path}: {error}"))?;
        answer.body_mut().read_to_vec().map_err(|error| error.to_string())
    }
}
