package git

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haechi-dev/haechi/word/fault"
)

// What ls-remote prints is read: refs that may be ours, and which branch HEAD names.
func TestParseRemote(t *testing.T) {
	const one, two = "1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222"
	refs, head, err := parseRemote("ref: refs/heads/trunk\tHEAD\n" + one + "\tHEAD\n" + one + "\trefs/heads/trunk\n" + two + "\trefs/heads/bad..name\n" + two + "\trefs/tags/v1\n")
	if err != nil || head != "trunk" || !cmp.Equal(refs, []Ref{{"refs/heads/trunk", one}, {"refs/tags/v1", two}}) {
		t.Error(refs, head, err)
	}
	if _, _, err := parseRemote("warning: something\n"); err == nil {
		t.Error("took a warning for a ref")
	}
}

// Nothing but http and https is called, and no option is smuggled in by a ref.
func TestRemoteRefuses(t *testing.T) {
	r := &Repo{dir: t.TempDir()}
	for _, url := range []string{"file:///etc", "ssh://h/x", "ext::sh -c id", "/etc", "-u", "https://h/x\nhttp.proxy=y"} {
		if _, err := r.RemoteRefs(t.Context(), Remote{URL: url, Proxy: "http://127.0.0.1:1"}); fault.Of(err) != fault.Invalid {
			t.Errorf("%q: %v", url, err)
		}
	}
	if err := r.Fetch(t.Context(), Remote{URL: "http://h/x", Proxy: "http://127.0.0.1:1"}, []string{"--upload-pack=id"}); fault.Of(err) != fault.Invalid {
		t.Error(err)
	}
}

func FuzzParseRemote(f *testing.F) {
	f.Add("ref: refs/heads/main\tHEAD\n1111111111111111111111111111111111111111\trefs/heads/main\n")
	f.Add("\t\n")
	f.Fuzz(func(t *testing.T, out string) {
		refs, _, _ := parseRemote(out)
		for _, r := range refs {
			if !ValidRef(r.Name) || !ValidID(r.ID) {
				t.Errorf("%+v", r)
			}
		}
	})
}
