package clitest

import (
	"encoding/json"
	"regexp"
	"testing"
)

var snakeCase = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

// CheckFields wants the names of all fields of a JSON value to be snake_case.
func CheckFields(t *testing.T, what, text string) {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Errorf("%s: %v: %s", what, err, text)
		return
	}
	checkFields(t, what, value)
}

func checkFields(t *testing.T, what string, value any) {
	t.Helper()
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			if !snakeCase.MatchString(name) {
				t.Errorf("%s: the field %q is not snake_case", what, name)
			}
			checkFields(t, what, member)
		}
	case []any:
		for _, element := range v {
			checkFields(t, what, element)
		}
	}
}
