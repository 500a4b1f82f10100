package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// gits measures clones and pushes over HTTP, against git http-backend behind lighttpd where there is one.
func gits(program string) error {
	folder, err := os.MkdirTemp("", "bench-git")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	s, err := serve(program, filepath.Join(folder, "data"))
	if err != nil {
		return err
	}
	defer s.stop()
	password, err := s.gitPassword(program)
	if err != nil {
		return err
	}
	ours := strings.Replace(s.url, "//", "//admin:"+password+"@", 1) + "/git/"
	peer, err := lighttpd(folder)
	if err != nil {
		fmt.Println("git: no peer:", err)
	} else {
		defer peer.stop()
	}
	servers := []gitServer{{"haechi", ours}}
	if peer != nil {
		servers = append(servers, gitServer{"http-backend", peer.url})
	}
	if err := clones(folder, s, servers, peer); err != nil {
		return err
	}
	for _, kind := range []string{"noise", "text"} {
		if err := pushes(folder, kind, s, servers, peer); err != nil {
			return err
		}
	}
	return nil
}

// calm is codeWords without those that push protection would stop at.
var calm = strings.NewReplacer(" token", "", " password", "", " key", "", " client", "").Replace(codeWords)

type gitServer struct{ name, at string }

// runGit runs git without anybody's configuration.
func runGit(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0", "GIT_AUTHOR_NAME=b", "GIT_AUTHOR_EMAIL=b@example.com", "GIT_COMMITTER_NAME=b", "GIT_COMMITTER_EMAIL=b@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %v: %w: %s", args, err, out)
	}
	return string(out), nil
}

// rest waits until the server has done what follows from a push: the run that looks into it would slow down what comes next.
func (s *server) rest() {
	for range 120 {
		was := s.cpu()
		time.Sleep(time.Second)
		if s.cpu()-was < 50*time.Millisecond {
			return
		}
	}
}

// gitPassword is one for the console user, by the server's own verb.
func (s *server) gitPassword(program string) (string, error) {
	cmd := exec.Command(program, "access", "token", "git")
	cmd.Env = append(os.Environ(), "HAECHI_ENDPOINT="+s.url, "AWS_ACCESS_KEY_ID="+s.key.KeyID, "AWS_SECRET_ACCESS_KEY="+s.key.Secret.Reveal())
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// clones clones a repository of 20 MB of text and 400 commits by turns.
func clones(folder string, s *server, servers []gitServer, peer *web) error {
	work := filepath.Join(folder, "shop")
	if _, err := runGit("", "init", "-q", "-b", "main", work); err != nil {
		return err
	}
	if _, err := grow(work, 20<<20, calm); err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 400 {
		for range 5 {
			files, err := filepath.Glob(filepath.Join(work, fmt.Sprintf("dir%02d", r.IntN(40)), "*"))
			if err != nil || len(files) == 0 {
				return fmt.Errorf("no files: %w", err)
			}
			f, err := os.OpenFile(files[r.IntN(len(files))], os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(f, "changed %d %d\n", i, r.Int())
			if err := errors.Join(err, f.Close()); err != nil {
				return err
			}
		}
		if _, err := runGit(work, "add", "-A"); err != nil {
			return err
		}
		if _, err := runGit(work, "commit", "-q", "-m", fmt.Sprint("change ", i)); err != nil {
			return err
		}
	}
	if peer != nil {
		if err := peer.bare("shop"); err != nil {
			return err
		}
	}
	for _, to := range servers {
		if _, err := runGit(work, "push", "-q", to.at+"shop", "HEAD:refs/heads/main"); err != nil {
			return err
		}
	}
	s.rest()
	times := map[string][]time.Duration{}
	for i := range 7 {
		for _, from := range servers {
			began := time.Now()
			if _, err := runGit(folder, "clone", "-q", "--bare", from.at+"shop", fmt.Sprintf("%s-%d", from.name, i)); err != nil {
				return err
			}
			times[from.name] = append(times[from.name], time.Since(began))
		}
	}
	tell("clone", servers, times)
	return nil
}

// pushes pushes 100 MB by turns, new bytes each time, into repositories that are there and have nothing.
func pushes(folder, kind string, s *server, servers []gitServer, peer *web) error {
	times := map[string][]time.Duration{}
	for i := range 5 {
		work := filepath.Join(folder, fmt.Sprintf("%s-work-%d", kind, i))
		if _, err := runGit("", "init", "-q", "-b", "main", work); err != nil {
			return err
		}
		if err := fill(work, kind, uint64(i)); err != nil {
			return err
		}
		if _, err := runGit(work, "add", "-A"); err != nil {
			return err
		}
		if _, err := runGit(work, "commit", "-q", "-m", kind); err != nil {
			return err
		}
		if _, err := runGit(work, "repack", "-adq"); err != nil { // so that packing is not what is measured
			return err
		}
		for _, to := range servers {
			name := fmt.Sprintf("%s%d", kind, i)
			if to.name != "haechi" {
				if err := peer.bare(name); err != nil {
					return err
				}
			}
			began := time.Now()
			if _, err := runGit(work, "push", "-q", to.at+name, "main"); err != nil {
				return err
			}
			times[to.name] = append(times[to.name], time.Since(began))
			s.rest()
		}
		if err := os.RemoveAll(work); err != nil {
			return err
		}
	}
	tell("push of 100 MB of "+kind, servers, times)
	return nil
}

func tell(what string, servers []gitServer, times map[string][]time.Duration) {
	var parts []string
	for _, s := range servers {
		parts = append(parts, fmt.Sprintf("%s %v", s.name, percentile(times[s.name], 0.5).Round(time.Millisecond)))
	}
	line := "git: " + what + ": " + strings.Join(parts, ", ")
	if len(servers) == 2 {
		line += fmt.Sprintf(", %.2f times", float64(percentile(times["haechi"], 0.5))/float64(percentile(times[servers[1].name], 0.5)))
	}
	fmt.Println(line)
}

// fill writes 100 MB: bytes that nothing can pack, in files of 5 MB; or text that looks like code.
func fill(folder, kind string, seed uint64) error {
	if kind == "text" {
		_, err := grow(folder, 100<<20, calm)
		return err
	}
	random := rand.NewChaCha8([32]byte{byte(seed), 7})
	for i := range 20 {
		noise := make([]byte, 5<<20)
		_, _ = random.Read(noise)
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("noise%02d.bin", i)), noise, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// web is lighttpd with git http-backend, on loopback.
type web struct {
	cmd   *exec.Cmd
	repos string
	url   string
}

func lighttpd(folder string) (*web, error) {
	program, err := exec.LookPath("lighttpd")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/lighttpd"); err != nil {
			return nil, err
		}
	}
	core, err := runGit("", "--exec-path")
	if err != nil {
		return nil, err
	}
	backend := filepath.Join(strings.TrimSpace(core), "git-http-backend")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	w := &web{repos: filepath.Join(folder, "peer"), url: fmt.Sprintf("http://127.0.0.1:%d/git/", port)}
	if err := os.Mkdir(w.repos, 0o700); err != nil {
		return nil, err
	}
	config := filepath.Join(folder, "lighttpd.conf")
	text := fmt.Sprintf(`server.modules = ("mod_alias", "mod_cgi", "mod_setenv")
server.document-root = %q
server.bind = "127.0.0.1"
server.port = %d
server.upload-dirs = (%q)
alias.url = ("/git" => %q)
$HTTP["url"] =~ "^/git" {
	cgi.assign = ("" => "")
	setenv.add-environment = ("GIT_PROJECT_ROOT" => %q, "GIT_HTTP_EXPORT_ALL" => "1", "REMOTE_USER" => "bench")
}
`, w.repos, port, folder, backend, w.repos)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	w.cmd = exec.Command(program, "-D", "-f", config)
	w.cmd.Stderr = os.Stderr
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	for range 100 {
		if resp, err := http.Get(w.url); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			return w, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	w.stop()
	return nil, fmt.Errorf("lighttpd does not answer")
}

// bare makes an empty repository, which checks what it is given and syncs it, as Haechi does.
func (w *web) bare(name string) error {
	dir := filepath.Join(w.repos, name)
	if _, err := runGit("", "init", "-q", "--bare", "-b", "main", dir); err != nil {
		return err
	}
	return nil
}

func (w *web) stop() {
	_ = w.cmd.Process.Signal(syscall.SIGTERM)
	_ = w.cmd.Wait()
}
