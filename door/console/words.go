package console

import (
	_ "embed"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/lang/strict"
)

// Korean, by the English that the pages say.
//
//go:embed words_ko.yaml
var koreanWords []byte

// languages are those that the console speaks, the first where nothing is asked for.
func languages() []string { return []string{"en", "ko"} }

// korean is ours: a test finds a malformed file first.
var korean = sync.OnceValue(func() map[string]string {
	var words map[string]string
	if err := strict.Unmarshal("words_ko.yaml", koreanWords, &words); err != nil {
		panic(err)
	}
	return words
})

// translate is an English text in a language, with args filled in as Sprintf does.
func translate(lang, text string, args ...any) string {
	if lang == "ko" {
		if k, ok := korean()[text]; ok {
			text = k
		}
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// language is the reader's: the first that they accept and that we speak.
func language(r *http.Request) string {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		main, _, _ := strings.Cut(strings.ToLower(tag), "-")
		for _, l := range languages() {
			if main == l {
				return l
			}
		}
	}
	return languages()[0]
}
