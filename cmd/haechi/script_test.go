package main

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/haechi-dev/haechi/tool/sandbox"
)

// The tests' own program is haechi, too: scripts run it by that name.
func TestMain(m *testing.M) {
	sandbox.Child() // a server that a test runs has builds, whose first process is this program, too
	testscript.Main(m, map[string]func(){"haechi": func() { os.Exit(run()) }})
}

// Scripts say how the program behaves. Besides testscript's own commands they have
//
//	server [FLAGS…]   starts haechi serve on a free port with the data folder $HAECHI_DATA, and sets HAECHI_ENDPOINT
//	stop              ends it, and waits until it has ended
//	post PATH FILE    posts a file to the server, with the bearer token in the file token
//	exits N ARGS…     runs a command, whose exit code must be N
//	until TEXT ARGS…  runs a command until its output holds a text, for ten seconds
//	forge FOLDER      starts a forge over a folder of bare repositories: $FORGE, $FORGE_TOKEN
//	deliver REPOSITORY EVENT ID FILE  posts what GitHub would, signed with the secret in the file secret
//	image FILE NAME [-torn] FOLDER…  builds a container image, each folder a layer; the last is torn
//	unhex FILE        writes FILE from the hexadecimal digits in FILE.hex: what looks like a secret stands in none of our files
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			e.Setenv("HAECHI_DATA", filepath.Join(e.WorkDir, "data"))
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Values[serverKey{}] = new(*running)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"server": startServer, "stop": stopServer, "post": post, "until": until, "exits": exits, "unhex": unhex, "image": buildImage, "zap": startZAP, "forge": startForge, "deliver": deliver},
	})
}

// running is a server that a test has started.
type running struct {
	command *exec.Cmd
	said    *strings.Builder // on standard error
	ended   chan error
}

// start starts a server and returns it with its address once it listens.
func start(haechi, dir string, env []string, flags ...string) (*running, string, error) {
	r := &running{command: exec.Command(haechi, append([]string{"serve", "-listen", "127.0.0.1:0"}, flags...)...), said: &strings.Builder{}, ended: make(chan error, 1)}
	r.command.Dir, r.command.Env = dir, env
	pipe, err := r.command.StderrPipe()
	if err != nil {
		return nil, "", err
	}
	if err := r.command.Start(); err != nil {
		return nil, "", err
	}
	address := make(chan string, 1)
	go func() {
		lines := bufio.NewReader(pipe)
		for {
			line, err := lines.ReadString('\n')
			r.said.WriteString(line)
			if _, found, ok := strings.Cut(line, "listening on "); ok {
				address <- strings.TrimSpace(found)
			}
			if err != nil {
				break
			}
		}
		_, _ = io.Copy(io.Discard, pipe)
		close(address)
		r.ended <- r.command.Wait()
	}()
	select {
	case a, ok := <-address:
		if !ok {
			return nil, "", &failed{r.said.String(), <-r.ended}
		}
		return r, a, nil
	case <-time.After(30 * time.Second):
		r.stop()
		return nil, "", &failed{"no server after 30 seconds", nil}
	}
}

type failed struct {
	said string
	err  error
}

func (f *failed) Error() string { return f.said }

// stop ends a server, and says what it said.
func (r *running) stop() string {
	_ = r.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.ended:
	case <-time.After(20 * time.Second):
		_ = r.command.Process.Kill()
		<-r.ended
	}
	return r.said.String()
}

// serverKey is under which a script's server lies among its values: a **running.
type serverKey struct{}

func startServer(ts *testscript.TestScript, neg bool, args []string) {
	haechi, err := lookPath("haechi", ts.Getenv("PATH"))
	ts.Check(err)
	env := append(os.Environ(), "HAECHI_DATA="+ts.Getenv("HAECHI_DATA"), "HOME="+ts.Getenv("HOME"), "PATH="+ts.Getenv("PATH"))
	r, address, err := start(haechi, ts.MkAbs("."), env, args...)
	if neg {
		if err == nil {
			r.stop()
			ts.Fatalf("the server started")
		}
		ts.Logf("%v", err)
		return
	}
	ts.Check(err)
	ts.Setenv("HAECHI_ENDPOINT", address)
	slot := ts.Value(serverKey{}).(**running)
	*slot = r
	ts.Defer(func() { end(ts, slot) })
}

func stopServer(ts *testscript.TestScript, _ bool, _ []string) {
	slot := ts.Value(serverKey{}).(**running)
	if *slot == nil {
		ts.Fatalf("no server is running")
	}
	end(ts, slot)
}

func end(ts *testscript.TestScript, slot **running) {
	if *slot != nil {
		ts.Logf("the server said:\n%s", (*slot).stop())
		*slot = nil
	}
}

func lookPath(name, path string) (string, error) {
	for _, folder := range filepath.SplitList(path) {
		if file := filepath.Join(folder, name); executable(file) {
			return file, nil
		}
	}
	return "", &failed{name + " is not in PATH", nil}
}

func executable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func post(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: post PATH FILE")
	}
	r, err := http.NewRequest("POST", ts.Getenv("HAECHI_ENDPOINT")+args[0], strings.NewReader(ts.ReadFile(args[1])))
	ts.Check(err)
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(ts.ReadFile("token")))
	response, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	ts.Check(err)
	ts.Logf("%s %s", response.Status, text)
	if (response.StatusCode == http.StatusOK) == neg {
		ts.Fatalf("%s", response.Status)
	}
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits N COMMAND…")
	}
	got := 0
	var code *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &code) {
		got = code.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("the exit code is %d, not %s", got, args[0])
	}
}

func until(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: until TEXT COMMAND…")
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		_ = ts.Exec(args[1], args[2:]...)
		if strings.Contains(ts.ReadFile("stdout"), args[0]) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%q did not come", args[0])
		}
	}
}

// startZAP makes $ZAP the address of a ZAP with one alert, whose key ZAP_API_KEY is.
func startZAP(ts *testscript.TestScript, _ bool, _ []string) {
	answers := map[string]string{
		"/JSON/core/view/version/": `{"version":"2.16.1"}`, "/JSON/alert/view/numberOfAlerts/": `{"numberOfAlerts":"1"}`, "/JSON/pscan/view/recordsToScan/": `{"recordsToScan":"0"}`, "/JSON/ascan/view/scans/": `{"scans":[]}`,
		"/JSON/alert/view/alerts/": `{"alerts":[{"pluginId":"10020","alertRef":"10020-1","name":"No header","risk":"Medium","confidence":"Medium","description":"d","cweid":"1021","url":"https://shop.example/","method":"GET","param":"x-frame-options"}]}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-ZAP-API-Key") != "right" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, answers[r.URL.Path]) // a client that is gone is the test's to notice
	}))
	ts.Defer(server.Close)
	ts.Setenv("ZAP", server.URL)
	ts.Setenv("ZAP_API_KEY", "right")
}
