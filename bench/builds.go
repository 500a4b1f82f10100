package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/remote"
)

// builder calls a server's CodeBuild.
type builder struct {
	*server
	c *remote.Client
}

func (b *builder) call(operation string, in, out any) error {
	return b.c.JSON(context.Background(), "codebuild", "CodeBuild_20161006."+operation, in, out)
}

type buildPhase struct {
	Type  string  `json:"phaseType"`
	Began float64 `json:"startTime"`
	Ended float64 `json:"endTime"`
}

type built struct {
	ID       string       `json:"id"`
	Status   string       `json:"buildStatus"`
	Complete bool         `json:"buildComplete"`
	Phases   []buildPhase `json:"phases"`
}

// project makes a project without a source.
func (b *builder) project(name, spec string) error {
	return b.call("CreateProject", map[string]any{
		"name": name, "source": map[string]string{"type": "NO_SOURCE", "buildspec": spec}, "artifacts": map[string]string{"type": "NO_ARTIFACTS"}, "serviceRole": "arn:aws:iam::000000000000:role/none",
		"environment": map[string]string{"type": "LINUX_CONTAINER", "image": "haechi/host", "computeType": "BUILD_GENERAL1_MEDIUM"},
	}, &struct{}{})
}

func (b *builder) start(project string) (string, error) {
	var out struct{ Build built }
	var said struct {
		Build built `json:"build"`
	}
	err := b.call("StartBuild", map[string]string{"projectName": project}, &said)
	out.Build = said.Build
	return out.Build.ID, err
}

func (b *builder) get(id string) (built, error) {
	var out struct {
		Builds []built `json:"builds"`
	}
	if err := b.call("BatchGetBuilds", map[string][]string{"ids": {id}}, &out); err != nil || len(out.Builds) != 1 {
		return built{}, fmt.Errorf("build %s: %v", id, err)
	}
	return out.Builds[0], nil
}

func (b *builder) ended(id string) (built, error) {
	for {
		one, err := b.get(id)
		if err != nil || one.Complete {
			if err == nil && one.Status != "SUCCEEDED" {
				err = fmt.Errorf("build %s is %s", id, one.Status)
			}
			return one, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// builds measures builds: what a log of a million lines costs, how soon a push
// is heard of, and how long 200 of them wait for two workers.
func builds(program string) error {
	folder, err := os.MkdirTemp("", "bench-builds")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	s, err := serve(program, filepath.Join(folder, "data"))
	if err != nil {
		return err
	}
	defer s.stop()
	b := &builder{s, &remote.Client{Endpoint: s.url, Region: "us-east-1", Key: s.key.KeyID, Secret: s.key.Secret, HTTP: http.DefaultClient, Now: time.Now}}
	for _, measure := range []func() error{b.logs, func() error { return b.pushes(program, folder) }, b.queue} {
		if err := measure(); err != nil {
			return err
		}
	}
	return nil
}

// logs runs a command that says a million lines, once into a file and once into the log.
func (b *builder) logs() error {
	const lines = "seq 1 1000000 | sed 's/^/the test number /; s/$/ has passed in 0.012 s/'"
	if err := b.project("log", "version: 0.2\nphases:\n  pre_build:\n    commands:\n      - \""+lines+" > file\"\n  build:\n    commands:\n      - \""+lines+"\"\n"); err != nil {
		return err
	}
	for range 3 {
		id, err := b.start("log")
		if err != nil {
			return err
		}
		one, err := b.ended(id)
		if err != nil {
			return err
		}
		took := map[string]float64{}
		for _, p := range one.Phases {
			took[p.Type] = p.Ended - p.Began
		}
		began := time.Now()
		if err := b.call("ListBuilds", struct{}{}, &struct{}{}); err != nil {
			return err
		}
		fmt.Printf("builds: a million lines: %.2f s to a file, %.2f s to the log (%.2f ×); afterwards a list of builds in %v\n", took["PRE_BUILD"], took["BUILD"], took["BUILD"]/took["PRE_BUILD"], time.Since(began).Round(time.Millisecond))
	}
	return nil
}

// queue starts 200 builds at once.
func (b *builder) queue() error {
	if err := b.project("queue", "version: 0.2\nphases: {build: {commands: [echo hello]}}\n"); err != nil {
		return err
	}
	began := time.Now()
	var ids []string
	for range 200 {
		id, err := b.start("queue")
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	asked := time.Since(began)
	for _, id := range ids {
		if _, err := b.ended(id); err != nil {
			return err
		}
	}
	fmt.Printf("builds: 200 on two workers: asked for in %v, all ended after %v; the server has %.0f MB\n", asked.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), b.rss())
	return nil
}

// pushes measures the time from the start of a push to the first line that its build says.
func (b *builder) pushes(program, folder string) error {
	token := exec.Command(program, "access", "token", "git")
	token.Env = append(os.Environ(), "HAECHI_ENDPOINT="+b.url, "AWS_ACCESS_KEY_ID="+b.key.KeyID, "AWS_SECRET_ACCESS_KEY="+b.key.Secret.Reveal())
	password, err := token.Output()
	if err != nil {
		return err
	}
	dir := filepath.Join(folder, "shop")
	git := func(arguments ...string) error {
		c := exec.Command("git", append([]string{"-C", dir}, arguments...)...)
		c.Env = append(os.Environ(), "GIT_AUTHOR_NAME=K", "GIT_AUTHOR_EMAIL=k@example.com", "GIT_COMMITTER_NAME=K", "GIT_COMMITTER_EMAIL=k@example.com")
		text, err := c.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("git %v: %w %s", arguments, err, text)
		}
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "buildspec.yml"), []byte("version: 0.2\nphases: {build: {commands: [echo hello from the build]}}\n"), 0o644); err != nil {
		return err
	}
	if err := git("init", "-q", "-b", "main"); err != nil {
		return err
	}
	address := strings.Replace(b.url, "//", "//admin:"+strings.TrimSpace(string(password))+"@", 1) + "/git/shop"
	for i := range 5 {
		if err := os.WriteFile(filepath.Join(dir, "n"), []byte(fmt.Sprint(i)), 0o644); err != nil {
			return err
		}
		if err := git("add", "-A"); err != nil {
			return err
		}
		if err := git("commit", "-q", "-m", fmt.Sprint("change ", i)); err != nil {
			return err
		}
		began := time.Now()
		if err := git("push", "-q", address, "main"); err != nil {
			return err
		}
		pushed := time.Since(began)
		first, said, err := b.heard(i + 1)
		if err != nil {
			return err
		}
		fmt.Printf("builds: a push took %v; the first line of its run %v after its begin, the build's own %v\n", pushed.Round(time.Millisecond), first.Sub(began).Round(time.Millisecond), said.Sub(began).Round(time.Millisecond))
	}
	return nil
}

// heard waits for the log of the newest run: its first line, and what the build says.
func (b *builder) heard(number int) (first, said time.Time, err error) {
	type run struct {
		ID     string `json:"id"`
		Number int    `json:"number"`
	}
	var runs struct{ Runs []run }
	for {
		if err := b.c.JSON(context.Background(), "haechi", "Haechi.ListRuns", map[string]any{"Pipeline": "shop", "Limit": 1}, &runs); err != nil {
			return first, said, err
		}
		if len(runs.Runs) == 1 && runs.Runs[0].Number == number {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	for {
		var log struct {
			Text string
			Next int64
			Done bool
		}
		if err := b.c.JSON(context.Background(), "haechi", "Haechi.GetRunLog", map[string]any{"Id": runs.Runs[0].ID, "From": 0}, &log); err != nil {
			return first, said, err
		}
		if first.IsZero() && log.Text != "" {
			first = time.Now()
		}
		if strings.Contains(log.Text, "\nhello from the build\n") {
			return first, time.Now(), nil
		}
		time.Sleep(2 * time.Millisecond)
	}
}
