package app_test

import (
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/app"
)

// client runs a script with boto3 against a server, whose clients it has by client(service).
func (h *house) client(t *testing.T, script string) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil || exec.Command(python, "-c", "import boto3").Run() != nil {
		t.Skip("no boto3 here: not tried with a real client")
	}
	c := exec.Command(python, "-c", `
import boto3, io, json, time, zipfile
from botocore.config import Config
from botocore.exceptions import ClientError
def client(service, **keys): return boto3.client(service, endpoint_url="`+h.url+`", region_name="us-east-1", config=Config(retries={"max_attempts": 0}, signature_version="s3v4" if service == "s3" else None), **keys)
def until(what, f):
    end = time.time() + 60
    while time.time() < end:
        r = f()
        if r: return r
        time.sleep(0.1)
    raise AssertionError("not within a minute: " + what)
def refused(code, f, **a):
    try: f(**a)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e
        return
    raise AssertionError("not refused: " + code)
def zipped(**files):
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w") as z:
        for name, text in files.items(): z.writestr(name.replace("__", "."), text)
    return b.getvalue()
`+script)
	dir := t.TempDir()
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LANG=C.UTF-8", "AWS_CONFIG_FILE=" + dir + "/none", "AWS_SHARED_CREDENTIALS_FILE=" + dir + "/none",
		"AWS_ACCESS_KEY_ID=" + h.admin.KeyID, "AWS_SECRET_ACCESS_KEY=" + h.admin.Secret.Reveal(), "AWS_EC2_METADATA_DISABLED=true"}
	for _, keep := range []string{"PYENV_ROOT", "PYENV_VERSION", "PYTHONPATH", "VIRTUAL_ENV"} {
		if v := os.Getenv(keep); v != "" {
			c.Env = append(c.Env, keep+"="+v)
		}
	}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// What people put into a bucket is built, lies where the project says, goes
// through a pipeline of workers with keys for their own artifacts alone, and
// starts the pipeline again when it changes. All of it is kept in a bucket of
// another server, which is one of ours.
func TestBuckets(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	store := build(t)
	must(t, store.Shelf.CreateBucket(t.Context(), "kept", ""))
	keys := t.TempDir() + "/keys"
	must(t, os.WriteFile(keys, []byte("[default]\naws_access_key_id = "+store.admin.KeyID+"\naws_secret_access_key = "+store.admin.Secret.Reveal()+"\n"), 0o600))
	h := build(t, func(c *app.Config) {
		c.Blobs = "s3://kept/files?credentials=file:" + keys + "&endpoint=" + store.url
		c.Outbound.Allow = []string{"127.0.0.0/8"}
	})
	h.client(t, `
s3, builds, runs = client("s3"), client("codebuild"), client("codepipeline")
s3.create_bucket(Bucket="sources")
spec = "version: 0.2\nphases:\n  build:\n    commands: ['cat what.txt', 'mkdir out', 'cp what.txt out/made.txt']\nartifacts:\n  base-directory: out\n  files: ['**/*']\n"
s3.put_object(Bucket="sources", Key="in/app.zip", Body=zipped(buildspec__yml=spec, what__txt="first"))
env = {"type": "LINUX_CONTAINER", "image": "haechi/host", "computeType": "BUILD_GENERAL1_SMALL"}
def project(named, **artifacts):
    builds.create_project(name=named, source={"type": "S3", "location": "sources/in/app.zip"}, environment=env, serviceRole="arn:aws:iam::000000000000:role/x", artifacts=dict(type="S3", **artifacts))
    id = builds.start_build(projectName=named)["build"]["id"]
    b = until("the build " + named, lambda: [b for b in builds.batch_get_builds(ids=[id])["builds"] if b["buildComplete"]])[0]
    assert b["buildStatus"] == "SUCCEEDED", b
    return b
b = project("zipped", location="made", path="out", namespaceType="BUILD_ID", name="app.zip", packaging="ZIP")
key = "out/" + b["id"].split(":")[1] + "/app.zip"
assert b["artifacts"]["location"] == "arn:aws:s3:::made/" + key, b["artifacts"]
r = s3.get_object(Bucket="made", Key=key)
assert r["Metadata"]["codebuild-buildarn"] == b["arn"], r["Metadata"]
assert zipfile.ZipFile(io.BytesIO(r["Body"].read())).read("made.txt") == b"first"
project("plain", location="made", name="loose")
assert s3.get_object(Bucket="made", Key="loose/made.txt")["Body"].read() == b"first"
b = project("own")
assert [o["Key"] for o in s3.list_objects_v2(Bucket="haechi")["Contents"]] == ["own/" + b["id"].split(":")[1] + "/own.zip"]

kind = {"category": "Build", "owner": "Custom", "provider": "Worker", "version": "1"}
runs.create_custom_action_type(category="Build", provider="Worker", version="1", inputArtifactDetails={"minimumCount": 1, "maximumCount": 1}, outputArtifactDetails={"minimumCount": 1, "maximumCount": 1})
def action(name, kind, gives, takes=None, **config):
    return {"name": name, "actionTypeId": kind, "configuration": config, "outputArtifacts": [{"name": gives}], "inputArtifacts": [{"name": takes}] if takes else []}
runs.create_pipeline(pipeline={"name": "flow", "roleArn": "arn:aws:iam::000000000000:role/x", "artifactStore": {"type": "S3", "location": "pipes"}, "stages": [
    {"name": "Source", "actions": [action("Zip", {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"}, "code", S3Bucket="sources", S3ObjectKey="in/app.zip")]},
    {"name": "One", "actions": [action("Work", kind, "half", "code")]}, {"name": "Two", "actions": [action("Finish", kind, "whole", "half")]}]})
def job():
    return until("a job", lambda: runs.poll_for_jobs(actionTypeId=kind, maxBatchSize=1)["jobs"])[0]
def work(j, change, hand_in=True):
    assert runs.acknowledge_job(jobId=j["id"], nonce=j["nonce"])["status"] == "InProgress"
    c, take, give = j["data"]["artifactCredentials"], j["data"]["inputArtifacts"][0]["location"]["s3Location"], j["data"]["outputArtifacts"][0]["location"]["s3Location"]
    own = client("s3", aws_access_key_id=c["accessKeyId"], aws_secret_access_key=c["secretAccessKey"], aws_session_token=c["sessionToken"])
    assert take["bucketName"] == give["bucketName"] == "pipes" and give["objectKey"].startswith("flow/"), (take, give)
    text = io.BytesIO()
    own.download_fileobj(take["bucketName"], take["objectKey"], text)
    refused("AccessDenied", own.put_object, Bucket=take["bucketName"], Key=take["objectKey"], Body=b"x")
    refused("AccessDenied", own.get_object, Bucket="sources", Key="in/app.zip")
    refused("AccessDenied", own.list_objects_v2, Bucket="pipes")
    if hand_in: own.upload_fileobj(io.BytesIO(change(text.getvalue())), give["bucketName"], give["objectKey"])
    runs.put_job_success_result(jobId=j["id"], executionDetails={"summary": "done"})
    refused("ExpiredToken", own.get_object, Bucket=take["bucketName"], Key=take["objectKey"])
    return text.getvalue(), give
def status(): return runs.list_pipeline_executions(pipelineName="flow")["pipelineExecutionSummaries"]
got, _ = work(job(), lambda b: zipped(half__txt="half") + b"")
assert zipfile.ZipFile(io.BytesIO(got)).read("what.txt") == b"first"
got, made = work(job(), lambda b: b"W" * (9 << 20))
assert zipfile.ZipFile(io.BytesIO(got)).read("half.txt") == b"half"
until("the end of the run", lambda: status()[0]["status"] == "Succeeded")
assert s3.head_object(Bucket=made["bucketName"], Key=made["objectKey"])["ContentLength"] == 9 << 20
d = runs.list_action_executions(pipelineName="flow")["actionExecutionDetails"][0]
assert d["output"]["outputArtifacts"][0]["s3location"] == {"bucket": made["bucketName"], "key": made["objectKey"]}, d["output"]

s3.put_object(Bucket="sources", Key="in/app.zip", Body=zipped(buildspec__yml=spec, what__txt="second"))
until("the second run", lambda: len(status()) == 2)
assert status()[0]["trigger"]["triggerType"] == "PollForSourceChanges", status()[0]
got, _ = work(job(), None, hand_in=False)
assert zipfile.ZipFile(io.BytesIO(got)).read("what.txt") == b"second"
until("the end of the second run", lambda: status()[0]["status"] == "Failed")
`)
	if files, _ := os.ReadDir(h.Config.Data + "/blobs/sha256"); len(files) > 0 {
		t.Errorf("files are kept in the folder: %v", files)
	}
	r, err := http.Get(h.url + "/readyz")
	must(t, err)
	r.Body.Close()
	if r.StatusCode != http.StatusOK {
		t.Errorf("readyz: %s", r.Status)
	}
	c := app.Default(func(string) string { return "" })
	c.Data, c.Listen, c.Blobs, c.Outbound.Allow = t.TempDir(), "127.0.0.1:0", strings.Replace(h.Config.Blobs, "s3://kept", "s3://other", 1), h.Config.Outbound.Allow
	other, err := app.Open(t.Context(), c, app.Env{Log: slog.New(slog.DiscardHandler), Getenv: func(string) string { return "" }})
	must(t, err)
	defer other.Close()
	l, err := other.Listen(false)
	must(t, err)
	if err := other.Serve(t.Context(), l, func() {}); err == nil || !strings.Contains(err.Error(), "make the bucket") {
		t.Errorf("a server whose bucket is not there: %v", err)
	}
	if said := h.said.String(); strings.Contains(said, store.admin.Secret.Reveal()) {
		t.Error("the bucket's secret is in the log")
	}
}
