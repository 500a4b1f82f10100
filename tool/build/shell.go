package build

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/tool/sandbox"
	"github.com/haechi-dev/haechi/word/fault"
)

// The build's shell reads what it is to do from its descriptor 9 and answers on
// descriptor 3, both closed to what it runs; 8 is the log, also where a command
// has sent its output elsewhere. It uses nothing but what is built into shells,
// so that no PATH and no file of the build's can get in its way. A command that
// ends its shell ends no more than that: the next one, which the first shell
// starts, goes on with the variables and the folder of the one before.

const first = `exec 9<&0 </dev/null
cd "$3" || exit 125
for haechi_l in /bin /usr/bin /usr/local/bin; do [ ! -x "$haechi_l/$1" ] || break; done
set -- "$haechi_l/$1" "$2" "$3" "$4" "$5"
PATH="$PATH:${3%/src}/bin"
export PATH
haechi_n= haechi_u= haechi_g= haechi_s= haechi_h= haechi_t=
who() {
haechi_u=
while IFS=: read -r haechi_a haechi_b haechi_c haechi_d haechi_e haechi_h haechi_f; do
[ "$haechi_a" != "$1" ] || { haechi_n=$1 haechi_u=$haechi_c haechi_g=$haechi_d haechi_s=$haechi_d; break; }
done </etc/passwd
[ "$haechi_u" ] || return
while IFS=: read -r haechi_a haechi_b haechi_c haechi_d; do
case ,$haechi_d, in *,"$1",*) haechi_s=$haechi_s,$haechi_c ;; esac
done </etc/group
} 2>/dev/null
become() {
for haechi_l in /usr/bin /bin /usr/sbin /sbin; do
for haechi_t in setpriv chroot su; do
haechi_t=$haechi_l/$haechi_t
[ ! -x "$haechi_t" ] || ! as /bin/sh -c : >/dev/null 2>&1 || return 0
done
done
return 1
}
as() {
case $haechi_t in
"") "$@" ;;
*/setpriv) "$haechi_t" "--reuid=$haechi_u" "--regid=$haechi_g" "--groups=$haechi_s" -- "$@" ;;
*/chroot) "$haechi_t" "--userspec=$haechi_u:$haechi_g" "--groups=$haechi_s" / /bin/sh -c 'cd "$1" && shift && exec "$@"' sh "$PWD" "$@" ;;
*) "$haechi_t" -p -s /bin/sh -c 'exec "$@"' -- "$haechi_n" sh "$@" ;;
esac
}
while :; do
as "$1" -c "$2" "$1" "$3" "$4" "$5"
printf 'gone %s\0' "$?" >&3
while :; do
IFS= read -r haechi_l <&9 || exit 0
case $haechi_l in
again) break ;;
as) haechi_t=
printf 'user \0' >&3
break ;;
"as "*)
set -- "$1" "$2" "$3" "$4" "$5" "$haechi_n" "$haechi_u" "$haechi_g" "$haechi_s" "$haechi_t"
who "${haechi_l#as }"
if [ ! "$haechi_u" ]; then printf 'nobody\0' >&3
elif become; then printf 'user %s\0' "$haechi_h" >&3; break
else printf 'stuck\0' >&3; fi
haechi_n=$6 haechi_u=$7 haechi_g=$8 haechi_s=$9 haechi_t=${10} ;;
*) exit 0 ;;
esac
done
done
`

// $1 is the folder of the sources, $2 the line that ends what is to be done, $3 where the state is kept.
const second = `exec 8>&1
haechi_end=$2 haechi_state=$3 haechi_o= haechi_p=0 haechi_rc=0
set --
trap '{ set +eux; export PWD; export -p; printf "%s\n" "cd \"\$PWD\""; } 2>/dev/null >"$haechi_state"' EXIT
printf 'ready\0' >&3
while :; do
{ if [ $haechi_p = 1 ]; then haechi_p=0 haechi_o=$-; set +eux; printf 'end %s\0' "$haechi_rc" >&3; fi; } 2>/dev/null
haechi_c=
while IFS= read -r haechi_l <&9; do
[ "$haechi_l" != "$haechi_end" ] || break
haechi_c="$haechi_c$haechi_l
"
done
[ "$haechi_l" = "$haechi_end" ] || break
case $haechi_c in
"#run"*)
haechi_p=1 haechi_rc=0
case $haechi_o in *u*) set -u ;; esac
case $haechi_o in *e*) set -e ;; esac
case $haechi_o in *x*) { set -x; } 2>/dev/null ;; esac
eval "$haechi_c" 3>&- 8>&- 9<&-
{ haechi_rc=$?; } 2>/dev/null ;;
*) eval "$haechi_c" ;;
esac
done
`

// shell is the dialog with the shell of a build. It is for one goroutine.
type shell struct {
	to      *os.File
	end     string // the line that ends what is to be done
	state   string
	records chan []byte
	over    chan struct{} // closed when the sandbox is no more
	ran     error
}

// errGone is a dialog whose other side is no more.
var errGone = errors.New("the shell is gone")

// start starts the sandbox with the shell in it.
func start(ctx context.Context, runner Runner, step sandbox.Step, name, work string, log io.Writer) (*shell, error) {
	from, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s := &shell{to: to, end: "haechi-" + rand.Text(), records: make(chan []byte, 16), over: make(chan struct{})}
	s.state = work + "/" + s.end
	if step.AsRoot { // whoever a shell becomes writes down where it was
		if err := shared(filepath.Join(step.Work, s.end)); err != nil {
			from.Close()
			to.Close()
			return nil, err
		}
	}
	step.Argv = []string{"/bin/sh", "-c", first, "sh", name, second, work + "/src", s.end, s.state}
	step.Stdin = from
	step.Report = &records{to: s.records, over: s.over}
	go func() {
		_, s.ran = runner.Run(ctx, step, log)
		from.Close() // so that nobody waits for a reader who is no more
		close(s.over)
	}()
	return s, nil
}

// shared makes an empty file for everybody in the build.
func shared(name string) error {
	return errors.Join(os.WriteFile(name, nil, 0o600), os.Chmod(name, 0o666))
}

// stop lets the shell end, and gives what became of the sandbox.
func (s *shell) stop() error {
	s.to.Close()
	<-s.over
	return s.ran
}

// tell has the shell do something.
func (s *shell) tell(text string) error {
	if _, err := io.WriteString(s.to, text+"\n"+s.end+"\n"); err != nil {
		return errGone
	}
	return nil
}

// answer is the next record.
func (s *shell) answer() (kind, rest string, err error) {
	var record []byte
	select {
	case record = <-s.records:
	case <-s.over:
		select {
		case record = <-s.records:
		default:
			return "", "", errGone
		}
	}
	kind, rest, _ = strings.Cut(string(record), " ")
	return kind, rest, nil
}

// ready waits for the shell to begin.
func (s *shell) ready() error {
	kind, _, err := s.answer()
	if err == nil && kind != "ready" {
		err = errGone
	}
	return err
}

// run runs a command and gives its status. alone is a shell of its own, as version 0.1 has it.
func (s *shell) run(command string, alone bool) (exit int, err error) {
	if err := s.say(echo(command)); err != nil {
		return 0, err
	}
	if alone {
		command = "( eval " + quote(command) + " )"
	}
	if err := s.tell("#run\n" + command); err != nil {
		return 0, err
	}
	for {
		kind, rest, err := s.answer()
		if err != nil {
			return 0, err
		}
		exit, err := strconv.Atoi(rest)
		switch {
		case err != nil || exit < 0: // nothing of ours
		case kind == "end":
			return exit, nil
		case kind == "gone":
			return exit, s.again()
		}
	}
}

// echo is the line that the log has before what a command says.
func echo(command string) string { return "$ " + strings.TrimRight(command, "\n") + "\n" }

// again has the next shell go on where the last one was.
func (s *shell) again() error {
	if _, err := io.WriteString(s.to, "again\n"); err != nil {
		return errGone
	}
	return s.resume()
}

// resume has a new shell go on with the variables and in the folder of the last one.
func (s *shell) resume() error {
	if err := s.ready(); err != nil {
		return err
	}
	// Tried in a shell of its own first: a full disk may have torn it.
	return s.tell(`if ( . "$haechi_state" ) >/dev/null 2>&1; then . "$haechi_state"; fi 2>/dev/null 3>&- 8>&- 9<&-`)
}

// become has what follows run as a user of the file system, "" for who the
// build began as, and gives the user's home.
func (s *shell) become(name string) (home string, err error) {
	if err := s.tell("exit 0"); err != nil {
		return "", err
	}
	kind := ""
	for kind != "gone" { // what commands have left there before is passed over
		if kind, _, err = s.answer(); err != nil {
			return "", err
		}
	}
	if _, err := io.WriteString(s.to, strings.TrimSpace("as "+name)+"\n"); err != nil {
		return "", errGone
	}
	kind, home, err = s.answer()
	switch {
	case err != nil:
		return "", err
	case kind == "nobody":
		return "", errors.Join(fault.Invalid.Errorf("there is no user %s in the build's file system", name), s.again())
	case kind == "stuck":
		return "", errors.Join(fault.Invalid.Errorf("the build's image has no program to become %s with: setpriv, chroot or su", name), s.again())
	case kind != "user":
		return "", errGone
	}
	return home, s.resume()
}

// say writes to the log, in order with what commands say.
func (s *shell) say(text string) error {
	return s.tell("printf %s " + quote(text) + " >&8")
}

// succeeding sets the variable that tells whether nothing has failed so far.
func (s *shell) succeeding(yes bool) error {
	value := "0"
	if yes {
		value = "1"
	}
	return s.tell("export CODEBUILD_BUILD_SUCCEEDING=" + value)
}

// value is the value of a variable.
func (s *shell) value(name string) (value string, ok bool, err error) {
	err = s.tell(fmt.Sprintf(`if [ "${%s+x}" ]; then printf 'value %%s\0' "$%s" >&3; else printf 'unset\0' >&3; fi`, name, name))
	return s.given(err)
}

// expand is what a text becomes between double quotes.
func (s *shell) expand(text string) (string, error) {
	value, _, err := s.given(s.tell(`haechi_c=$(printf %s "` + inQuotes(text) + `" 3>&- 8>&- 9<&-); printf 'value %s\0' "$haechi_c" >&3`))
	return value, err
}

func (s *shell) given(err error) (string, bool, error) {
	for err == nil {
		var kind, rest string
		switch kind, rest, err = s.answer(); kind {
		case "value":
			return rest, true, err
		case "unset":
			return "", false, err
		case "gone":
			err = s.again()
			return "", false, err
		}
	}
	return "", false, err
}

// inQuotes is a text as it stands between double quotes; what is between $( and ) stays as it is.
func inQuotes(text string) string {
	var b strings.Builder
	depth := 0
	for i := range len(text) {
		switch c := text[i]; {
		case c == '(' && (depth > 0 || i > 0 && text[i-1] == '$'):
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == '"' && depth == 0:
			b.WriteByte('\\')
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// quote makes one word of s for the shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// records takes what the shell answers apart.
type records struct {
	to   chan<- []byte
	over <-chan struct{}

	mu      sync.Mutex
	pending []byte
	skip    bool // the rest of one that is too long
}

const longestRecord = 1 << 20

func (r *records) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(b)
	for len(b) > 0 {
		i := bytes.IndexByte(b, 0)
		part := b
		if i >= 0 {
			part, b = b[:i], b[i+1:]
		} else {
			b = nil
		}
		if r.skip = r.skip || len(r.pending)+len(part) > longestRecord; !r.skip {
			r.pending = append(r.pending, part...)
		}
		if i < 0 {
			continue
		}
		if r.skip {
			r.pending = []byte("value ") // too long to be anything
		}
		select {
		case r.to <- r.pending:
		case <-r.over:
		}
		r.pending, r.skip = nil, false
	}
	return n, nil
}

// tap passes the log on, and keeps the end of it while somebody wants to look at it.
type tap struct {
	to io.Writer

	mu   sync.Mutex
	on   bool
	last []byte
	news chan struct{}
}

const mostKept = 256 << 10

func (t *tap) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.on {
		t.last = append(t.last, b[max(0, len(b)-mostKept):]...)
		if len(t.last) > 2*mostKept {
			t.last = append([]byte(nil), t.last[len(t.last)-mostKept:]...)
		}
		if t.news != nil {
			close(t.news)
			t.news = nil
		}
	}
	return t.to.Write(b)
}

// keep begins to keep, or ends it.
func (t *tap) keep(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.on, t.last = on, nil
}

// kept is the end of the log between two lines, the second of which it waits for.
func (t *tap) kept(from, line string, over <-chan struct{}) []byte {
	for {
		t.mu.Lock()
		text := t.last
		i := bytes.LastIndex(text, []byte(line))
		if t.news == nil {
			t.news = make(chan struct{})
		}
		news := t.news
		t.mu.Unlock()
		if i >= 0 {
			if j := bytes.LastIndex(text[:i], []byte(from)); j >= 0 {
				return text[j+len(from) : i]
			}
			return text[:i]
		}
		select {
		case <-news:
		case <-over:
			return text
		}
	}
}
