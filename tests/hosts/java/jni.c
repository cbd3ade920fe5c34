// JniGuest's native methods.
#include <jni.h>
#include <stdlib.h>

#include "guest.h"

static JavaVM* g_vm;

typedef struct {
  Guest* guest;
  jobject object;  // Global: what onCall is called on.
  jmethodID on_call;
} Binding;

static int32_t OnCall(int64_t env_word, int32_t argument) {
  const Binding* const binding = (const Binding*)(intptr_t)env_word;
  JNIEnv* env = NULL;
  (*g_vm)->GetEnv(g_vm, (void**)&env, JNI_VERSION_10);
  const jint result = (*env)->CallIntMethod(env, binding->object, binding->on_call, argument);
  if ((*env)->ExceptionCheck(env)) {
    (*env)->ExceptionDescribe(env);
    (*env)->FatalError(env, "onCall throws");
  }
  return result;
}

JNIEXPORT jlong JNICALL Java_JniGuest_open(JNIEnv* env, jobject self, jstring file) {
  (*env)->GetJavaVM(env, &g_vm);
  Binding* const binding = calloc(1, sizeof(*binding));
  binding->object = (*env)->NewGlobalRef(env, self);
  binding->on_call = (*env)->GetMethodID(env, (*env)->GetObjectClass(env, self), "onCall", "(I)I");
  const char* const path = (*env)->GetStringUTFChars(env, file, NULL);
  const char* why = "";
  binding->guest = GuestNew(path, OnCall, (int64_t)(intptr_t)binding, &why);
  (*env)->ReleaseStringUTFChars(env, file, path);
  if (binding->guest == NULL) {
    (*env)->FatalError(env, why);
  }
  return (jlong)(intptr_t)binding;
}

JNIEXPORT jstring JNICALL Java_JniGuest_callNative(JNIEnv* env, jobject self, jlong handle,
                                                   jint index, jint first, jint second,
                                                   jintArray result) {
  (void)self;
  int32_t value = 0;
  char message[128];
  if (GuestCall(((Binding*)(intptr_t)handle)->guest, index, first, second, &value, message) != 0) {
    return (*env)->NewStringUTF(env, message);
  }
  const jint returned = value;
  (*env)->SetIntArrayRegion(env, result, 0, 1, &returned);
  return NULL;
}

JNIEXPORT void JNICALL Java_JniGuest_closeNative(JNIEnv* env, jobject self, jlong handle) {
  (void)self;
  Binding* const binding = (Binding*)(intptr_t)handle;
  GuestDelete(binding->guest);
  (*env)->DeleteGlobalRef(env, binding->object);
  free(binding);
}

static volatile int* volatile g_nowhere = (volatile int*)16;

void CrashInC(void);
void CrashInC(void) {
  *g_nowhere = 1;
}

JNIEXPORT void JNICALL Java_JniGuest_crash(JNIEnv* env, jobject self) {
  (void)env;
  (void)self;
  CrashInC();
}
