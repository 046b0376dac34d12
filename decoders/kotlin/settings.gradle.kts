pluginManagement {
    repositories {
        google()
        mavenCentral()
        gradlePluginPortal()
    }
}

dependencyResolutionManagement {
    repositories {
        google()
        mavenCentral()
    }
}

rootProject.name = "transducer-decoder"

include("decoder", "onnxruntime")

// ExecuTorch comes for Android alone, so its adapter takes an Android SDK to build.
if (System.getenv("ANDROID_HOME") != null || file("local.properties").exists()) include("executorch")
