/* A PKCS#11 module of bad manners: SoftHSM behind it, and what the words in a file ask for in front of it. Compiled by the tests.
 *
 *   final-try          the token says that one wrong PIN more locks it
 *   deaf               C_Login fails without a clear reason
 *   no-contact         C_Login: the device is not there
 *   no-arguments       C_Initialize takes no arguments
 *   loses-session      the session is gone at the next C_SignInit, once
 *   removed            C_Sign and C_OpenSession: the device is not there
 *
 * Each C_Login is counted by a byte in FILE.logins. The functions stand in CK_FUNCTION_LIST in the order of PKCS#11 2.40, section 3.6. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long word;
typedef word (*function)();

enum { INITIALIZE = 0, GET_FUNCTION_LIST = 3, GET_TOKEN_INFO = 6, OPEN_SESSION = 12, CLOSE_ALL = 14, LOGIN = 18, SIGN_INIT = 42, SIGN = 43, COUNT = 68 };
enum { ARGUMENTS_BAD = 0x07, FUNCTION_FAILED = 0x06, DEVICE_REMOVED = 0x32, SESSION_HANDLE_INVALID = 0xb3, FINAL_TRY = 0x00020000 };

struct list {
    unsigned char version[2];
    function functions[COUNT];
};

static struct list mine, *theirs;
static word slot_of_session;

static int asked(const char *wanted) {
    char text[200] = "";
    FILE *file = fopen(getenv("ILL_MANNERED"), "r");
    if (file) {
        text[fread(text, 1, sizeof text - 1, file)] = 0;
        fclose(file);
    }
    return strstr(text, wanted) != NULL;
}

static void forget(void) {
    FILE *file = fopen(getenv("ILL_MANNERED"), "w");
    if (file) fclose(file);
}

static word initialize(void *arguments) {
    if (arguments && asked("no-arguments")) return ARGUMENTS_BAD;
    return theirs->functions[INITIALIZE](arguments);
}

static word get_token_info(word slot, unsigned char *info) {
    word status = theirs->functions[GET_TOKEN_INFO](slot, info);
    if (status == 0 && asked("final-try")) {
        word flags;
        memcpy(&flags, info + 96, sizeof flags);
        flags |= FINAL_TRY;
        memcpy(info + 96, &flags, sizeof flags);
    }
    return status;
}

static word open_session(word slot, word flags, void *application, void *notify, word *session) {
    if (asked("removed")) return DEVICE_REMOVED;
    slot_of_session = slot;
    return theirs->functions[OPEN_SESSION](slot, flags, application, notify, session);
}

static word login(word session, word user, unsigned char *pin, word length) {
    char name[300];
    snprintf(name, sizeof name, "%s.logins", getenv("ILL_MANNERED"));
    FILE *file = fopen(name, "a");
    if (file) {
        fputc('L', file);
        fclose(file);
    }
    if (asked("deaf")) return FUNCTION_FAILED;
    if (asked("no-contact")) return DEVICE_REMOVED;
    return theirs->functions[LOGIN](session, user, pin, length);
}

static word sign_init(word session, void *mechanism, word key) {
    if (asked("loses-session")) {
        forget();
        theirs->functions[CLOSE_ALL](slot_of_session);
        return SESSION_HANDLE_INVALID;
    }
    return theirs->functions[SIGN_INIT](session, mechanism, key);
}

static word sign(word session, unsigned char *data, word length, unsigned char *signature, word *signature_length) {
    if (asked("removed")) return DEVICE_REMOVED;
    return theirs->functions[SIGN](session, data, length, signature, signature_length);
}

word C_GetFunctionList(struct list **out) {
    if (!theirs) {
        void *module = dlopen(getenv("ILL_MANNERED_MODULE"), RTLD_NOW | RTLD_LOCAL);
        function get = module ? (function)dlsym(module, "C_GetFunctionList") : NULL;
        if (!get || get(&theirs) != 0) return FUNCTION_FAILED;
        mine = *theirs;
        mine.functions[INITIALIZE] = (function)initialize;
        mine.functions[GET_FUNCTION_LIST] = (function)C_GetFunctionList;
        mine.functions[GET_TOKEN_INFO] = (function)get_token_info;
        mine.functions[OPEN_SESSION] = (function)open_session;
        mine.functions[LOGIN] = (function)login;
        mine.functions[SIGN_INIT] = (function)sign_init;
        mine.functions[SIGN] = (function)sign;
    }
    *out = &mine;
    return 0;
}
