// Command bench measures Haechi from outside: as a whole process, over HTTP, on a disk.
//
//	go build -o haechi ../cmd/haechi && go run . ./haechi start import query scan reports deps guard
//
// What can be measured within a process is measured by go test -bench, beside
// the code; RESULTS.md has both, with their commands.
package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/haechi-dev/haechi/keeper/access"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: bench HAECHI start|import|query|scan|reports|deps|image|git|builds|guard|secrets…")
		os.Exit(2)
	}
	for _, what := range os.Args[2:] {
		measure, ok := map[string]func(program string) error{"start": start, "import": imports, "query": query, "scan": scan, "reports": reports, "deps": deps, "image": image, "git": gits, "builds": builds, "guard": guards, "secrets": secrets}[what]
		if !ok {
			fmt.Fprintf(os.Stderr, "bench: there is no %q\n", what)
			os.Exit(2)
		}
		if err := measure(os.Args[1]); err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", what, err)
			os.Exit(1)
		}
	}
}

// server is a haechi process in a folder of its own.
type server struct {
	cmd    *exec.Cmd
	url    string
	folder string
	key    access.Credentials
	ready  time.Duration // from exec to the first 200 of /readyz
}

func serve(program, folder string) (*server, error) {
	s := &server{folder: folder, cmd: exec.Command(program, "serve", "-data", folder, "-listen", "127.0.0.1:0")}
	out, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), "listening on "); ok {
			s.url = url
			break
		}
		fmt.Fprintln(os.Stderr, lines.Text())
	}
	go func() { // so that the server never waits for us
		for lines.Scan() {
			fmt.Fprintln(os.Stderr, lines.Text())
		}
	}()
	if s.url == "" {
		return nil, fmt.Errorf("the server did not start: %w", s.cmd.Wait())
	}
	for {
		resp, err := http.Get(s.url + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	s.ready = time.Since(began)
	s.key, err = access.ReadCredentials(filepath.Join(folder, access.FirstFile))
	return s, err
}

func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
}

// rss is the resident memory of the server, in MB.
func (s *server) rss() float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseFloat(strings.Fields(string(text))[1], 64)
	return pages * float64(os.Getpagesize()) / 1e6
}

// cpu is the processor time that the server has used.
func (s *server) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// percentile of times that are sorted.
func percentile(times []time.Duration, p float64) time.Duration {
	slices.Sort(times)
	return times[min(len(times)-1, int(p*float64(len(times))))]
}

// start measures a start with 10,000 findings, and the memory of idling.
func start(program string) error {
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	s, err := serve(program, folder)
	if err != nil {
		return err
	}
	first := s.ready
	if _, err := s.fill(10_000, 4); err != nil {
		return err
	}
	s.stop()
	var ready []time.Duration
	for range 5 {
		if s, err = serve(program, folder); err != nil {
			return err
		}
		ready = append(ready, s.ready)
		if len(ready) < 5 {
			s.stop()
		}
	}
	time.Sleep(20 * time.Second)
	before := s.cpu()
	time.Sleep(10 * time.Second)
	fmt.Printf("start: first %v; with 10,000 findings median %v; idle %.0f MB RSS, %.1f %% of a core\n",
		first.Round(time.Millisecond), percentile(ready, 0.5).Round(time.Millisecond), s.rss(), float64(s.cpu()-before)/float64(10*time.Second)*100)
	s.stop()
	return nil
}
