package codebuild_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/door/wire/codebuild"
	"github.com/haechi-dev/haechi/door/wire/wiretest"
)

// A sandbox has the project's sources and variables; commands run in it one by
// one or beside each other, each with what it said on both its outputs and its
// exit code; what one changes the next one finds; and it ends with all of them.
func TestSandboxes(t *testing.T) {
	s := wiretest.Serve(t, wiretest.Options{}, codebuild.Service(open(t)))
	good(t, s, "CreateProject", object{
		"name": "tools", "serviceRole": "arn:aws:iam::" + wiretest.Account + ":role/builds", "source": object{"type": "CODECOMMIT", "location": "shop"}, "artifacts": object{"type": "NO_ARTIFACTS"},
		"environment": object{"type": "LINUX_CONTAINER", "image": "haechi/host", "computeType": "BUILD_GENERAL1_SMALL", "environmentVariables": []object{{"name": "PLAIN", "value": "open"}, {"name": "HIDDEN", "value": "db", "type": "SECRETS_MANAGER"}}},
	})
	made := good(t, s, "StartSandbox", object{"projectName": "tools", "idempotencyToken": "once"})["sandbox"].(object)
	again := good(t, s, "StartSandbox", object{"projectName": "tools", "idempotencyToken": "once"})["sandbox"].(object)
	id := made["id"].(string)
	if again["id"] != id || !strings.HasPrefix(id, "tools:") || !strings.HasSuffix(made["arn"].(string), ":sandbox/"+id) {
		t.Errorf("%v %v", made, again)
	}
	state := func() object {
		return good(t, s, "BatchGetSandboxes", object{"ids": []string{made["arn"].(string), "tools:none"}})["sandboxes"].([]any)[0].(object)
	}
	wait(t, "the sandbox runs", func() bool { return state()["status"] == "RUN_SANDBOX" })
	run := func(command string) string {
		t.Helper()
		return good(t, s, "StartCommandExecution", object{"sandboxId": id, "command": command, "type": "SHELL"})["commandExecution"].(object)["id"].(string)
	}
	see := func(command string) object {
		return good(t, s, "BatchGetCommandExecutions", object{"sandboxId": id, "commandExecutionIds": []string{command}})["commandExecutions"].([]any)[0].(object)
	}
	ended := func(command string) (c object) {
		t.Helper()
		wait(t, "the command ends", func() bool { c = see(command); return c["endTime"] != nil })
		return c
	}
	c := ended(run(`echo "$PLAIN/$HIDDEN/$CODEBUILD_SRC_DIR"; ls; echo no >&2; echo made > made; exit 4`))
	if c["exitCode"] != "4" || c["status"] != "FAILED" || c["standardErrContent"] != "no\n" || c["standardOutputContent"] != "open///work/src\nbuildspec.yml\ncover.out\njunit.xml\n" {
		t.Errorf("%v", c)
	}
	if c = ended(run("cat made")); c["exitCode"] != "0" || c["status"] != "SUCCEEDED" || c["standardOutputContent"] != "made\n" || c["standardErrContent"] != nil {
		t.Errorf("%v", c)
	}
	slow := run("echo began; sleep 100")
	wait(t, "what it says so far", func() bool { return see(slow)["standardOutputContent"] == "began\n" })
	if c = ended(run("head -c 600000 /dev/zero | tr '\\0' x; echo end")); !strings.HasSuffix(c["standardOutputContent"].(string), "xend\n") || !strings.Contains(c["standardOutputContent"].(string), "bytes before are left out") || len(c["standardOutputContent"].(string)) > 140<<10 {
		t.Errorf("%.100v", c)
	}
	list := good(t, s, "ListCommandExecutionsForSandbox", object{"sandboxId": id, "sortOrder": "ASCENDING", "maxResults": 3})
	if n := len(list["commandExecutions"].([]any)); n != 3 || list["nextToken"] == nil {
		t.Errorf("%d, %v", n, list["nextToken"])
	}
	good(t, s, "StopSandbox", object{"id": id})
	wait(t, "the sandbox ends", func() bool { return state()["status"] == "STOPPED" })
	if c = see(slow); c["status"] != "STOPPED" || c["endTime"] == nil {
		t.Errorf("%v", c)
	}
	phases := state()["currentSession"].(object)["phases"].([]any)
	var names []string
	for _, p := range phases {
		names = append(names, p.(object)["phaseType"].(string))
	}
	if got := strings.Join(names, " "); got != "SUBMITTED QUEUED PROVISIONING RUN_SANDBOX COMPLETED" {
		t.Error(got)
	}
	if status, out := call(t, s, "StartCommandExecution", object{"sandboxId": id, "command": "ls"}); status != http.StatusBadRequest || !strings.Contains(out["message"].(string), "is STOPPED") {
		t.Errorf("%d %v", status, out)
	}
	if got := good(t, s, "ListSandboxesForProject", object{"projectName": "tools"})["ids"].([]any); len(got) != 1 || got[0] != id {
		t.Errorf("%v", got)
	}
	if status, out := call(t, s, "StartSandboxConnection", object{"sandboxId": id}); status != http.StatusNotImplemented {
		t.Errorf("%d %v", status, out)
	}
	if status, out := call(t, s, "StartCommandExecution", object{"sandboxId": "tools:none", "command": "ls"}); status != http.StatusBadRequest || out["__type"] != "ResourceNotFoundException" {
		t.Errorf("%d %v", status, out)
	}
}

// AWS's own command has a sandbox, where it knows them: the older one does not, and says so itself.
func TestSandboxesByCommand(t *testing.T) {
	clients := slices.DeleteFunc(wiretest.Clients(t), func(c wiretest.Client) bool { return c.Old })
	if len(clients) == 0 {
		t.Skip("no aws command here knows sandboxes")
	}
	s := wiretest.Serve(t, wiretest.Options{}, codebuild.Service(open(t)))
	run := func(words ...string) string {
		t.Helper()
		out, said, err := clients[0].Run(t, s, append([]string{"codebuild"}, append(words, "--output", "text")...)...)
		if err != nil {
			t.Fatalf("%v: %v %s", words, err, said)
		}
		return strings.TrimSpace(out)
	}
	id := run("start-sandbox", "--project-name", "shop", "--query", "sandbox.id")
	command := run("start-command-execution", "--sandbox-id", id, "--command", "ls *.yml", "--query", "commandExecution.id")
	wait(t, "the command ends", func() bool {
		return good(t, s, "ListCommandExecutionsForSandbox", object{"sandboxId": id})["commandExecutions"].([]any)[0].(object)["endTime"] != nil
	})
	if got := run("batch-get-command-executions", "--sandbox-id", id, "--command-execution-ids", command, "--query", "commandExecutions[].[status,exitCode,standardOutputContent]"); got != "SUCCEEDED\t0\tbuildspec.yml" {
		t.Errorf("%q", got)
	}
	if got := run("stop-sandbox", "--id", id, "--query", "sandbox.status"); got != "STOPPING" {
		t.Errorf("%q", got)
	}
}

func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}
